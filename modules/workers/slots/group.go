package slots

import (
	"maps"
	"slices"

	"github.com/sluiceworks/sluice/modules/tasks"
)

// group is a set of handlers that the outbox is polled for together: one handler with a limit, or the shared group.
type group struct {
	handler      string  // empty: the shared group
	capacity     *member // of the handler
	saturated    bool    // the handler is polled alone; otherwise the fields below are not used
	due          bool    // the outbox may have due tasks
	full         bool    // the last poll returned as many tasks as it asked for
	lastPriority int     // of the least urgent task of that poll
	exchanges    int     // exchanges that polled this group; the shared group also counts those that did not poll
	polls        int
	lastPolled   int // Scheduler.polls at the last poll
}

// recordPoll updates a group after a poll. It reports whether no further task of the group is due.
func (s *Scheduler) recordPoll(g *group, poll PollResult) (drained bool) {
	if poll.MoreDue && len(poll.LastPriority) > 0 {
		g.full, g.lastPriority = true, slices.Max(slices.Collect(maps.Values(poll.LastPriority)))
	}
	for _, x := range s.limited {
		if !x.saturated && slices.Contains(poll.Saturated, x.handler) {
			s.isolate(x)
			x.full, x.lastPriority = true, tasks.LowestPriority
			if last, found := poll.LastPriority[x.handler]; found {
				x.lastPriority = last
			}
		}
	}
	if poll.MoreDue || len(poll.Saturated) > 0 { // tasks of a saturated handler may have hidden others
		g.due = true
	} else {
		g.full, drained = false, true
	}
	if g != s.shared && (drained || !g.saturated) { // another exchange may have ended the saturation meanwhile
		s.merge(g)
	}
	return drained
}

// next returns the group to poll: of those that may have due tasks and have capacity, the least recently polled. It
// returns nil if there is none. Handlers without any capacity become saturated. If a saturated handler has no capacity,
// the pool waits for it, for at most want tasks. ended is the number of the exchange's outcomes by handler.
func (s *Scheduler) next(want int, ended map[string]int) (best *group) {
	for _, g := range s.limited {
		if keep, others := g.capacity.available(ended[g.handler]); s.shared.due && !g.saturated && keep+others == 0 {
			s.isolate(g)
		}
	}
	if s.shared.due = s.shared.due && len(s.Shared()) > 0; s.shared.due {
		best = s.shared
	}
	for _, g := range s.limited {
		if !g.saturated || !g.due {
			continue
		}
		keep, _ := g.capacity.available(ended[g.handler])
		if (keep > 0 || g.capacity.tryEnqueue(want)) && (best == nil || g.lastPolled < best.lastPolled) {
			best = g
		}
	}
	return best
}

// isolate makes a handler saturated. Its group is polled after the existing ones, so that a handler that is saturated
// again and again does not delay them.
func (s *Scheduler) isolate(g *group) {
	*g = group{handler: g.handler, capacity: g.capacity, saturated: true, due: true, lastPolled: s.polls}
}

// merge ends the saturation of a handler.
func (s *Scheduler) merge(g *group) {
	g.saturated = false
	g.capacity.leave()
	s.shared.due = s.shared.due || g.due
}

// handlersOf returns the handlers of a group.
func (s *Scheduler) handlersOf(g *group) []string {
	if g != s.shared {
		return []string{g.handler}
	}
	return slices.DeleteFunc(slices.Clone(s.handlers), func(name string) bool {
		return slices.ContainsFunc(s.limited, func(g *group) bool { return g.saturated && g.handler == name })
	})
}

// eagerMinPriority returns the lowest priority that a task of the group may have to be claimed before the tasks in the
// outbox.
func (g *group) eagerMinPriority() int {
	if g.full {
		return g.lastPriority
	}
	return tasks.LowestPriority
}
