package workers

import (
	"maps"
	"slices"
	"strings"

	"github.com/sluiceworks/sluice/modules/outbox"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/tasks"
)

// pollGroup is what a pool looks for in the outbox by one look: the common one for all handlers, as long as there is
// room for what it finds. A handler of which more is due than there is room for is crowded: it leaves the common
// search, whose looks would find nothing but its tasks, and has one of its own, whose looks ask for as many as there is
// room for; they are taken when there is room. As soon as one finds less, nothing more of it is due, and it is in the
// common search again.
type pollGroup struct {
	handler     string // the crowded one; empty: the common search
	due         bool   // the outbox may hold something due
	minPriority bool   // the last look found as much as it asked for
	priority    int    // of the least urgent task that it found
	polls       int    // made for it; the common search has those that look for nothing, too
	polledAt    int    // made so far: they take turns between queues, and between a priority's bulk and the rest
	last        int    // when it was chosen last, in looks of the pool
}

// eagerMinPriority is the priority that a task must have at least to go before what waits in the outbox.
func (s *pollGroup) eagerMinPriority() int {
	if s.due && s.minPriority {
		return s.priority
	}
	return tasks.LowestPriority
}

// handlersOf is what a search looks for. Callers hold the lock.
func (p *Pool) handlersOf(s *pollGroup) []string {
	if s.handler != "" {
		return []string{s.handler}
	}
	names := p.handlers.Names()
	return slices.DeleteFunc(names, func(name string) bool { return p.saturated[name] != nil })
}

// maxCursors bounds the sets of handlers whose heads are remembered.
const maxCursors = 64

// cursorsFor is where looks for these handlers begin: what was learnt when others were looked for says nothing about
// them. Callers hold the lock.
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

// resetCursors has all looks begin at the beginning.
func (p *Pool) resetCursors() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cursors = nil
}

// pollAll notes that anything may have become due. Callers hold the lock.
func (p *Pool) pollAll() {
	p.shared.due = true
	for _, s := range p.saturated {
		s.due = true
	}
}

// pollable are the searches that a look now may be worth it for, those chosen longest ago first. For crowded handlers
// without room the pool stands in the row for that from now on, for want tasks at most, and is woken. ended has the
// number of outcomes by handler that the look comes with. Callers hold the lock.
func (p *Pool) pollable(want int, ended map[string]int) []*pollGroup {
	if p.shared.due {
		for name, room := range p.limits {
			if p.saturated[name] == nil && room.fairShare(ended[name])+room.available() == 0 {
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
		room := p.limits[name]
		if s := p.saturated[name]; s.due && (room.fairShare(ended[name]) > 0 || room.tryEnqueue(want)) {
			list = append(list, s)
		}
	}
	slices.SortStableFunc(list, func(a, b *pollGroup) int { return a.last - b.last })
	return list
}

// isolate gives a handler a search of its own, which comes after those that are there: a handler that is crowded again
// and again keeps no other look waiting. Callers hold the lock.
func (p *Pool) isolate(handler string) *pollGroup {
	s := &pollGroup{handler: handler, due: true, last: p.polls}
	p.saturated[handler] = s
	return s
}

// merge puts a handler back into the common search. Callers hold the lock.
func (p *Pool) merge(s *pollGroup) {
	delete(p.saturated, s.handler)
	p.limits[s.handler].leave()
}

// recordPoll draws conclusions from a look at the outbox: as much as was asked for means that there is more. Callers
// hold the lock.
func (p *Pool) recordPoll(s *pollGroup, result pipelines.ExchangeResult) {
	if s == nil || result.Expired {
		return
	}
	asked, found := result.PollFilter, result.Claims[len(result.Claims)-result.FromOutbox:]
	switch {
	case asked.Limit <= 0:
		s.due = true // there was no slot left to look for
	case len(found) == asked.Limit:
		s.due, s.minPriority, s.priority = true, true, found[len(found)-1].Task.Priority
		p.detectSaturation(asked, found)
	case p.detectSaturation(asked, found):
		s.due = true // what there was no room for may have stood before the rest
	default:
		s.minPriority = false
		if p.saturated[s.handler] == s {
			p.merge(s)
		}
		p.reportDrained(len(found) == 0)
	}
	if s.due && s != &p.shared && p.saturated[s.handler] != s {
		p.shared.due = true // it has been put back meanwhile
	}
}

// detectSaturation notes of which handlers there may be more than there was room for. Callers hold the lock.
func (p *Pool) detectSaturation(asked outbox.ClaimFilter, found []pipelines.Claim) (any bool) {
	for _, name := range asked.Handlers {
		room, limited := asked.Capacity[name]
		if !limited || room >= asked.Limit || p.saturated[name] != nil {
			continue
		}
		taken, last := 0, tasks.LowestPriority
		for i := range found {
			if found[i].Task.Handler == name {
				taken, last = taken+1, found[i].Task.Priority
			}
		}
		if taken >= room {
			s := p.isolate(name)
			s.minPriority, s.priority, any = true, last, true
		}
	}
	return any
}
