package workers

import (
	"context"

	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
)

// reservation is what an exchange has reserved in addition to the slots and the capacity of its outcomes, which become
// free when it commits.
type reservation struct {
	slots    int
	capacity map[string]int // by handler, for handlers with a limit
	group    *pollGroup     // the group to poll; nil: none
}

// byHandler counts outcomes by handler.
func byHandler(group []*pipelines.Outcome) map[string]int {
	n := map[string]int{}
	for _, o := range group {
		n[o.Claim.Task.Handler]++
	}
	return n
}

// reserve decides what an exchange may claim, and reserves slots and capacity for it.
func (p *Pool) reserve(ctx context.Context, group []*pipelines.Outcome) (r engine.ExchangeRequest, held reservation) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r = engine.ExchangeRequest{Worker: p.id, LeaseExpiresAt: p.expires, Outcomes: group}
	if ctx.Err() != nil || p.claimsPaused() {
		return r, held
	}
	want := p.slots() - p.usedSlots
	keep, slots := p.slotMember.acquire(len(group), max(want, 0))
	free := keep + slots + min(want, 0) // want is negative if more tasks run than slots allows after failed starts
	if free <= 0 {
		return r, held
	}
	p.usedSlots += slots
	held.slots = slots
	capacities := p.reserveHandlers(&held, free, group)
	if held.group == nil && len(group) == 0 { // another exchange polls already
		p.releaseCapacity(held, nil, nil)
		return r, reservation{}
	}
	p.fillRequest(&r, held.group, free)
	r.Filter.Capacity = capacities
	return r, held
}

// reserveHandlers chooses the group to poll and reserves capacity. It returns how many tasks of each limited handler
// the exchange may claim. A poll of a saturated handler gets all free capacity of the handler. Handlers of the shared
// group get half of theirs, so that concurrent exchanges can claim some, too. For other saturated handlers, only the
// share of the exchange's outcomes is available, for eager claims. Callers hold mu.
func (p *Pool) reserveHandlers(held *reservation, free int, group []*pipelines.Outcome) map[string]int {
	ended := byHandler(group)
	if list := p.pollable(free, ended); len(list) > 0 {
		held.group = list[0]
	}
	capacities := make(map[string]int, len(p.limits))
	held.capacity = make(map[string]int, len(p.limits))
	for name, slotMember := range p.limits {
		keep, others := slotMember.fairShare(ended[name]), 0
		switch p.saturated[name] {
		case nil:
			keep, others = slotMember.acquire(ended[name], min(free, (slotMember.available()+1)/2))
		case held.group:
			if keep, others = slotMember.acquire(ended[name], free); keep+others == 0 {
				held.group = nil // another pool has acquired the capacity
			}
		}
		capacities[name], held.capacity[name] = keep+others, others
	}
	return capacities
}

// fillRequest sets what the exchange polls for, and what may be claimed eagerly before that. Callers hold mu.
func (p *Pool) fillRequest(r *engine.ExchangeRequest, group *pollGroup, free int) {
	r.EagerMax, r.EagerMinPriority, r.EagerMinPriorities = free, p.shared.eagerMinPriority(),
		make(map[string]int, len(p.saturated))
	for name, s := range p.saturated {
		r.EagerMinPriorities[name] = s.eagerMinPriority()
	}
	s := &p.shared
	if group != nil {
		s = group
	}
	s.exchanges++
	if r.PollOutbox = group != nil; r.PollOutbox {
		p.polls++
		s.polls++
		s.due, s.lastPolled = false, p.polls
	}
	r.Filter = p.claimFilter(s, free)
	r.PollHandlers, r.Filter.Handlers = r.Filter.Handlers, p.handlers.Names()
	if r.PollOutbox && s.exchanges%outboxFirstEvery == 0 {
		r.EagerMax = 0
	}
}

// releaseCapacity frees what an exchange reserved and what its outcomes used, less what its claims use now. Slots and
// capacity are released nowhere else. Callers hold mu.
func (p *Pool) releaseCapacity(held reservation, ended []*pipelines.Outcome, claims []pipelines.Claim) {
	freed := held.slots + len(ended) - len(claims)
	p.usedSlots -= freed
	p.slotMember.release(freed)
	capacities := byHandler(ended)
	for i := range claims {
		capacities[claims[i].Task.Handler]--
	}
	for name, slotMember := range p.limits {
		slotMember.release(held.capacity[name] + capacities[name])
	}
}

// cancelReservation releases what reserve reserved.
func (p *Pool) cancelReservation(held reservation) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.releaseCapacity(held, nil, nil)
}

// leaveQueuesLocked leaves the queues for slots and for capacity, and returns what was granted. Callers hold mu.
func (p *Pool) leaveQueuesLocked() {
	p.slotMember.leave()
	for _, slotMember := range p.limits {
		slotMember.leave()
	}
}

// leaveQueues is leaveQueuesLocked for callers that do not hold mu.
func (p *Pool) leaveQueues() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leaveQueuesLocked()
}
