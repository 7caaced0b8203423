package workers

import (
	"maps"
	"slices"
	"strings"

	"github.com/sluiceworks/sluice/modules/outbox"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/tasks"
)

// search is what a pool looks for in the outbox by one look: the common one for all handlers, as long as there is room for what it
// finds. A handler of which more is due than there is room for is crowded: it leaves the common search, whose looks would find nothing
// but its tasks, and has one of its own, whose looks ask for as many as there is room for; they are taken when there is room. As soon
// as one finds less, nothing more of it is due, and it is in the common search again.
type search struct {
	handler  string // the crowded one; empty: the common search
	look     bool   // the outbox may hold something due
	backlog  bool   // the last look found as much as it asked for
	priority int    // of the least urgent task that it found
	turns    int    // made for it; the common search has those that look for nothing, too
	looks    int    // made so far: they take turns between queues, and between a priority's bulk and the rest
	last     int    // when it was chosen last, in looks of the pool
}

// urgency is the priority that a task must have at least to go before what waits in the outbox.
func (s *search) urgency() int {
	if s.look && s.backlog {
		return s.priority
	}
	return tasks.LeastUrgent
}

// handlersOf is what a search looks for. Callers hold the lock.
func (p *Pool) handlersOf(s *search) []string {
	if s.handler != "" {
		return []string{s.handler}
	}
	names := p.handlers.Names()
	return slices.DeleteFunc(names, func(name string) bool { return p.crowded[name] != nil })
}

// mostHeads bounds the sets of handlers whose heads are remembered.
const mostHeads = 64

// headsOf is where looks for these handlers begin: what was learnt when others were looked for says nothing about them. Callers hold
// the lock.
func (p *Pool) headsOf(handlers []string) *outbox.Heads {
	key := strings.Join(handlers, ",")
	if p.heads == nil || p.heads[key] == nil && len(p.heads) >= mostHeads {
		p.heads = map[string]*outbox.Heads{}
	}
	if p.heads[key] == nil {
		p.heads[key] = &outbox.Heads{}
	}
	return p.heads[key]
}

// forgetHeads has all looks begin at the beginning.
func (p *Pool) forgetHeads() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.heads = nil
}

// lookForAll notes that anything may have become due. Callers hold the lock.
func (p *Pool) lookForAll() {
	p.common.look = true
	for _, s := range p.crowded {
		s.look = true
	}
}

// candidates are the searches that a look now may be worth it for, those chosen longest ago first. For crowded handlers without room
// the pool stands in the row for that from now on, for want tasks at most, and is woken. ended has the number of outcomes by handler
// that the look comes with. Callers hold the lock.
func (p *Pool) candidates(want int, ended map[string]int) []*search {
	if p.common.look {
		for name, room := range p.rooms {
			if p.crowded[name] == nil && room.share(ended[name])+room.room() == 0 {
				p.crowd(name)
			}
		}
		p.common.look = len(p.handlersOf(&p.common)) > 0
	}
	var list []*search
	if p.common.look {
		list = append(list, &p.common)
	}
	for _, name := range slices.Sorted(maps.Keys(p.crowded)) {
		room := p.rooms[name]
		if s := p.crowded[name]; s.look && (room.share(ended[name]) > 0 || room.may(want)) {
			list = append(list, s)
		}
	}
	slices.SortStableFunc(list, func(a, b *search) int { return a.last - b.last })
	return list
}

// crowd gives a handler a search of its own, which comes after those that are there: a handler that is crowded again and again keeps no
// other look waiting. Callers hold the lock.
func (p *Pool) crowd(handler string) *search {
	s := &search{handler: handler, look: true, last: p.looks}
	p.crowded[handler] = s
	return s
}

// uncrowd puts a handler back into the common search. Callers hold the lock.
func (p *Pool) uncrowd(s *search) {
	delete(p.crowded, s.handler)
	p.rooms[s.handler].leave()
}

// looked draws conclusions from a look at the outbox: as much as was asked for means that there is more. Callers hold the lock.
func (p *Pool) looked(s *search, result pipelines.Turned) {
	if s == nil || result.Expired {
		return
	}
	asked, found := result.Asked, result.Claims[len(result.Claims)-result.Taken:]
	switch {
	case asked.Limit <= 0:
		s.look = true // there was no slot left to look for
	case len(found) == asked.Limit:
		s.look, s.backlog, s.priority = true, true, found[len(found)-1].Task.Priority
		p.squeeze(asked, found)
	case p.squeeze(asked, found):
		s.look = true // what there was no room for may have stood before the rest
	default:
		s.backlog = false
		if p.crowded[s.handler] == s {
			p.uncrowd(s)
		}
		p.exhausted(len(found) == 0)
	}
	if s.look && s != &p.common && p.crowded[s.handler] != s {
		p.common.look = true // it has been put back meanwhile
	}
}

// squeeze notes of which handlers there may be more than there was room for. Callers hold the lock.
func (p *Pool) squeeze(asked outbox.Want, found []pipelines.Claim) (any bool) {
	for _, name := range asked.Handlers {
		room, limited := asked.Rooms[name]
		if !limited || room >= asked.Limit || p.crowded[name] != nil {
			continue
		}
		taken, last := 0, tasks.LeastUrgent
		for i := range found {
			if found[i].Task.Handler == name {
				taken, last = taken+1, found[i].Task.Priority
			}
		}
		if taken >= room {
			s := p.crowd(name)
			s.backlog, s.priority, any = true, last, true
		}
	}
	return any
}
