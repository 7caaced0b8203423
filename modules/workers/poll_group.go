package workers

import (
	"maps"
	"slices"
	"strings"

	"github.com/sluiceworks/sluice/modules/outbox"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/modules/tasks"
)

// pollGroup is a set of handlers that the outbox is polled for together. The shared group has all handlers that are not
// saturated. A saturated handler has more due tasks than capacity, so polls of the shared group would return only its
// tasks. Such a handler gets a group of its own, which is polled for as many tasks as it has capacity. When a poll
// returns fewer tasks than that, no more of its tasks are due, and the handler returns to the shared group.
type pollGroup struct {
	handler      string // the saturated handler; empty: the shared group
	due          bool   // the outbox may have due tasks
	full         bool   // the last poll returned as many tasks as it asked for
	lastPriority int    // of the least urgent task of that poll
	exchanges    int    // exchanges that chose this group; the shared group also counts those that did not poll
	polls        int    // polls so far; selects the first queue, and when the overflow goes first
	lastPolled   int    // Pool.polls at the last poll
}

// eagerMinPriority returns the lowest priority that a task may have to be claimed before the tasks in the outbox.
func (s *pollGroup) eagerMinPriority() int {
	if s.due && s.full {
		return s.lastPriority
	}
	return tasks.LowestPriority
}

// handlersOf returns the handlers of a group. Callers hold mu.
func (p *Pool) handlersOf(s *pollGroup) []string {
	if s.handler != "" {
		return []string{s.handler}
	}
	names := p.handlers.Names()
	return slices.DeleteFunc(names, func(name string) bool { return p.saturated[name] != nil })
}

// maxCursors limits the number of handler sets whose scan cursors are kept.
const maxCursors = 64

// cursorsFor returns the scan cursors of a set of handlers. Each set has its own, because the result of a poll for one
// set does not apply to another. Callers hold mu.
func (p *Pool) cursorsFor(handlers []string) *outbox.ScanCursors {
	key := strings.Join(handlers, ",")
	if p.cursors == nil || p.cursors[key] == nil && len(p.cursors) >= maxCursors {
		p.cursors = map[string]*outbox.ScanCursors{}
	}
	if p.cursors[key] == nil {
		p.cursors[key] = &outbox.ScanCursors{}
	}
	return p.cursors[key]
}

// resetCursors discards all scan cursors, so that each group's next poll scans from the beginning.
func (p *Pool) resetCursors() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cursors = nil
}

// pollAll marks all groups as due. Callers hold mu.
func (p *Pool) pollAll() {
	p.shared.due = true
	for _, s := range p.saturated {
		s.due = true
	}
}

// pollable returns the groups to poll, the least recently polled first. Handlers without any capacity get groups of
// their own. If a saturated handler has no capacity, the pool waits for it, for at most want tasks, and is woken. ended
// is the number of the exchange's outcomes by handler. Callers hold mu.
func (p *Pool) pollable(want int, ended map[string]int) []*pollGroup {
	if p.shared.due {
		for name, free := range p.limits {
			if p.saturated[name] == nil && free.fairShare(ended[name])+free.available() == 0 {
				p.isolate(name)
			}
		}
		p.shared.due = len(p.handlersOf(&p.shared)) > 0
	}
	var list []*pollGroup
	if p.shared.due {
		list = append(list, &p.shared)
	}
	for _, name := range slices.Sorted(maps.Keys(p.saturated)) {
		free := p.limits[name]
		if s := p.saturated[name]; s.due && (free.fairShare(ended[name]) > 0 || free.tryEnqueue(want)) {
			list = append(list, s)
		}
	}
	slices.SortStableFunc(list, func(a, b *pollGroup) int { return a.lastPolled - b.lastPolled })
	return list
}

// isolate gives a handler a group of its own. The new group is polled after the existing ones, so a handler that is
// saturated again and again does not delay them. Callers hold mu.
func (p *Pool) isolate(handler string) *pollGroup {
	s := &pollGroup{handler: handler, due: true, lastPolled: p.polls}
	p.saturated[handler] = s
	return s
}

// merge returns a handler to the shared group. Callers hold mu.
func (p *Pool) merge(s *pollGroup) {
	delete(p.saturated, s.handler)
	p.limits[s.handler].leave()
}

// recordPoll updates a group after a poll. If the poll returned as many tasks as it asked for, more may be due. Callers
// hold mu.
func (p *Pool) recordPoll(s *pollGroup, result engine.ExchangeResult) {
	if s == nil || result.Expired {
		return
	}
	asked, found := result.PollFilter, result.Claims[len(result.Claims)-result.FromOutbox:]
	switch {
	case asked.Limit <= 0:
		s.due = true // no slot was left for the poll
	case len(found) == asked.Limit:
		s.due, s.full, s.lastPriority = true, true, found[len(found)-1].Task.Priority
		p.detectSaturation(asked, found)
	case p.detectSaturation(asked, found):
		s.due = true // tasks without capacity may have hidden other tasks
	default:
		s.full = false
		if p.saturated[s.handler] == s {
			p.merge(s)
		}
		p.reportDrained(len(found) == 0)
	}
	if s.due && s != &p.shared && p.saturated[s.handler] != s {
		p.shared.due = true // another exchange has merged the group
	}
}

// detectSaturation isolates the handlers of which more tasks may be due than they had capacity for. It reports whether
// there were any. Callers hold mu.
func (p *Pool) detectSaturation(asked outbox.ClaimFilter, found []pipelines.Claim) (any bool) {
	for _, name := range asked.Handlers {
		free, limited := asked.Capacity[name]
		if !limited || free >= asked.Limit || p.saturated[name] != nil {
			continue
		}
		taken, last := 0, tasks.LowestPriority
		for i := range found {
			if found[i].Task.Handler == name {
				taken, last = taken+1, found[i].Task.Priority
			}
		}
		if taken >= free {
			s := p.isolate(name)
			s.full, s.lastPriority, any = true, last, true
		}
	}
	return any
}
