package workers

import (
	"context"

	"github.com/sluiceworks/sluice/modules/pipelines"
)

// reservation is what a turn has reserved beside the slots and the room of its outcomes, which are free once it is committed.
type reservation struct {
	slots  int
	rooms  map[string]int // by handler, of those with a limit
	search *search        // what it looks for; nil: nothing
}

// byHandler counts outcomes by the handler that they come from.
func byHandler(group []*pipelines.Outcome) map[string]int {
	n := map[string]int{}
	for _, o := range group {
		n[o.Claim.Task.Handler]++
	}
	return n
}

// reserve works out what a turn may claim and reserves slots and room for it.
func (p *Pool) reserve(ctx context.Context, group []*pipelines.Outcome) (r pipelines.Turn, held reservation) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r = pipelines.Turn{Worker: p.id, LeaseExpiresAt: p.expires, Outcomes: group}
	if ctx.Err() != nil || p.claimsPaused() {
		return r, held
	}
	want := p.slots() - p.taken
	keep, slots := p.seat.reserve(len(group), max(want, 0))
	free := keep + slots + min(want, 0) // more may run than are to, since tasks could not be started
	if free <= 0 {
		return r, held
	}
	p.taken += slots
	held.slots = slots
	rooms := p.reserveRooms(&held, free, group)
	if held.search == nil && len(group) == 0 { // another turn was quicker
		p.giveBack(held, nil, nil)
		return r, reservation{}
	}
	p.ask(&r, held.search, free)
	r.Want.Rooms = rooms
	return r, held
}

// reserveRooms chooses what to look for, and reserves room: for a look of a crowded handler all that is free of it, for others half of
// that, so that the looks of other turns find some too. What becomes ready in the turn may use what its outcomes leave of a crowded
// handler's. Callers hold the lock.
func (p *Pool) reserveRooms(held *reservation, free int, group []*pipelines.Outcome) map[string]int {
	ended := byHandler(group)
	if list := p.candidates(free, ended); len(list) > 0 {
		held.search = list[0]
	}
	rooms := make(map[string]int, len(p.rooms))
	held.rooms = make(map[string]int, len(p.rooms))
	for name, seat := range p.rooms {
		keep, others := seat.share(ended[name]), 0
		switch p.crowded[name] {
		case nil:
			keep, others = seat.reserve(ended[name], min(free, (seat.room()+1)/2))
		case held.search:
			if keep, others = seat.reserve(ended[name], free); keep+others == 0 {
				held.search = nil // another pool was quicker
			}
		}
		rooms[name], held.rooms[name] = keep+others, others
	}
	return rooms
}

// ask says what the turn is to look for in the outbox, and what may go before that. Callers hold the lock.
func (p *Pool) ask(r *pipelines.Turn, chosen *search, free int) {
	r.Successors, r.SuccessorPriority, r.SuccessorPriorities = free, p.common.urgency(), make(map[string]int, len(p.crowded))
	for name, s := range p.crowded {
		r.SuccessorPriorities[name] = s.urgency()
	}
	s := &p.common
	if chosen != nil {
		s = chosen
	}
	s.turns++
	if r.Look = chosen != nil; r.Look {
		p.looks++
		s.looks++
		s.look, s.last = false, p.looks
	}
	r.Want = p.want(s, free)
	r.LookFor, r.Want.Handlers = r.Want.Handlers, p.handlers.Names()
	if r.Look && s.turns%outboxTurn == 0 {
		r.Successors = 0
	}
}

// giveBack is the one place where slots and room become free again: what a turn reserved and what its outcomes had, but for what the
// claims have now. Callers hold the lock.
func (p *Pool) giveBack(held reservation, ended []*pipelines.Outcome, claims []pipelines.Claim) {
	freed := held.slots + len(ended) - len(claims)
	p.taken -= freed
	p.seat.give(freed)
	rooms := byHandler(ended)
	for i := range claims {
		rooms[claims[i].Task.Handler]--
	}
	for name, seat := range p.rooms {
		seat.give(held.rooms[name] + rooms[name])
	}
}

// cancelReservation gives back what reserve took.
func (p *Pool) cancelReservation(held reservation) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.giveBack(held, nil, nil)
}

// leaveRows gives up the places in all rows, and what the pool was granted there. Callers hold the lock.
func (p *Pool) leaveRows() {
	p.seat.leave()
	for _, seat := range p.rooms {
		seat.leave()
	}
}

// leave is leaveRows for who does not hold the lock.
func (p *Pool) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leaveRows()
}
