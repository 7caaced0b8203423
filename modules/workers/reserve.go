package workers

import (
	"context"

	"github.com/sluiceworks/sluice/modules/pipelines"
)

// reservation is what a turn has reserved beside the slots and the room of its outcomes, which are free once it is
// committed.
type reservation struct {
	slots    int
	capacity map[string]int // by handler, of those with a limit
	search   *pollGroup     // what it looks for; nil: nothing
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
func (p *Pool) reserve(ctx context.Context, group []*pipelines.Outcome) (r pipelines.ExchangeRequest, held reservation) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r = pipelines.ExchangeRequest{Worker: p.id, LeaseExpiresAt: p.expires, Outcomes: group}
	if ctx.Err() != nil || p.claimsPaused() {
		return r, held
	}
	want := p.slots() - p.used
	keep, slots := p.seat.acquire(len(group), max(want, 0))
	free := keep + slots + min(want, 0) // more may run than are to, since tasks could not be started
	if free <= 0 {
		return r, held
	}
	p.used += slots
	held.slots = slots
	rooms := p.reserveHandlers(&held, free, group)
	if held.search == nil && len(group) == 0 { // another turn was quicker
		p.releaseCapacity(held, nil, nil)
		return r, reservation{}
	}
	p.ask(&r, held.search, free)
	r.Filter.Capacity = rooms
	return r, held
}

// reserveHandlers chooses what to look for, and reserves room: for a look of a crowded handler all that is free of it,
// for others half of that, so that the looks of other turns find some too. What becomes ready in the turn may use what
// its outcomes leave of a crowded handler's. Callers hold the lock.
func (p *Pool) reserveHandlers(held *reservation, free int, group []*pipelines.Outcome) map[string]int {
	ended := byHandler(group)
	if list := p.pollable(free, ended); len(list) > 0 {
		held.search = list[0]
	}
	rooms := make(map[string]int, len(p.limits))
	held.capacity = make(map[string]int, len(p.limits))
	for name, seat := range p.limits {
		keep, others := seat.fairShare(ended[name]), 0
		switch p.saturated[name] {
		case nil:
			keep, others = seat.acquire(ended[name], min(free, (seat.available()+1)/2))
		case held.search:
			if keep, others = seat.acquire(ended[name], free); keep+others == 0 {
				held.search = nil // another pool was quicker
			}
		}
		rooms[name], held.capacity[name] = keep+others, others
	}
	return rooms
}

// ask says what the turn is to look for in the outbox, and what may go before that. Callers hold the lock.
func (p *Pool) ask(r *pipelines.ExchangeRequest, chosen *pollGroup, free int) {
	r.EagerMax, r.EagerMinPriority, r.EagerMinPriorities = free, p.shared.eagerMinPriority(), make(map[string]int, len(p.saturated))
	for name, s := range p.saturated {
		r.EagerMinPriorities[name] = s.eagerMinPriority()
	}
	s := &p.shared
	if chosen != nil {
		s = chosen
	}
	s.polls++
	if r.PollOutbox = chosen != nil; r.PollOutbox {
		p.polls++
		s.polledAt++
		s.due, s.last = false, p.polls
	}
	r.Filter = p.claimFilter(s, free)
	r.PollHandlers, r.Filter.Handlers = r.Filter.Handlers, p.handlers.Names()
	if r.PollOutbox && s.polls%outboxFirstEvery == 0 {
		r.EagerMax = 0
	}
}

// releaseCapacity is the one place where slots and room become free again: what a turn reserved and what its outcomes
// had, but for what the claims have now. Callers hold the lock.
func (p *Pool) releaseCapacity(held reservation, ended []*pipelines.Outcome, claims []pipelines.Claim) {
	freed := held.slots + len(ended) - len(claims)
	p.used -= freed
	p.seat.release(freed)
	rooms := byHandler(ended)
	for i := range claims {
		rooms[claims[i].Task.Handler]--
	}
	for name, seat := range p.limits {
		seat.release(held.capacity[name] + rooms[name])
	}
}

// cancelReservation gives back what reserve took.
func (p *Pool) cancelReservation(held reservation) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.releaseCapacity(held, nil, nil)
}

// leaveQueues gives up the places in all rows, and what the pool was granted there. Callers hold the lock.
func (p *Pool) leaveQueues() {
	p.seat.leave()
	for _, seat := range p.limits {
		seat.leave()
	}
}

// leaveQueue is leaveQueues for who does not hold the lock.
func (p *Pool) leaveQueue() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leaveQueues()
}
