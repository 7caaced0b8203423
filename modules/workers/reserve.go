package workers

import (
	"context"
	"slices"
	"strings"

	"github.com/sluiceworks/sluice/modules/outbox"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/modules/workers/slots"
)

// reserve decides what an exchange may claim, and reserves slots and capacity for it.
func (p *Pool) reserve(
	ctx context.Context, group []*pipelines.Outcome,
) (r engine.ExchangeRequest, held slots.Reservation) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r = engine.ExchangeRequest{Worker: p.id, LeaseExpiresAt: p.expires, Outcomes: group}
	if ctx.Err() != nil || p.claimsPaused() {
		return r, held
	}
	if held = p.scheduler.Reserve(p.slots(), endedByHandler(group)); held.Limit == 0 {
		return r, held
	}
	r.Filter = p.claimFilter(held.Poll, held.Polls)
	r.PollOutbox, r.PollHandlers, r.Filter.Handlers = held.Poll != nil, held.Poll, p.handlers.Names()
	r.Filter.Limit, r.Filter.Capacity = held.Limit, held.Capacity
	r.EagerMax, r.EagerMinPriority, r.EagerMinPriorities = held.EagerMax, held.EagerMinPriority, held.EagerMinPriorities
	return r, held
}

// overflowEvery is the interval, in polls, at which a poll claims the overflow of each priority first.
const overflowEvery = 4

// claimFilter returns the filter of a poll for some handlers. polls counts their polls: queues take turns in being
// first. Callers hold mu.
func (p *Pool) claimFilter(handlers []string, polls int) outbox.ClaimFilter {
	n := polls % len(p.config.Queues)
	return outbox.ClaimFilter{
		Handlers: handlers, Queues: slices.Concat(p.config.Queues[n:], p.config.Queues[:n]),
		OverflowFirst: polls%overflowEvery == overflowEvery-1, PipelineExecutionID: p.config.PipelineExecutionID,
		Cursors: p.cursorsFor(handlers),
	}
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

// resetCursors discards all scan cursors, so that each next poll scans from the beginning.
func (p *Pool) resetCursors() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cursors = nil
}

// cancelReservation releases what reserve reserved.
func (p *Pool) cancelReservation(held slots.Reservation) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.scheduler.Cancel(held)
}

// finishReservation updates the slots after a committed exchange, and tells the loops what to do next. Callers hold mu.
func (p *Pool) finishReservation(
	held slots.Reservation, ended []*pipelines.Outcome, result engine.ExchangeResult, claims []*pipelines.Claim,
) {
	claimed := map[string]int{}
	for _, c := range claims {
		claimed[c.Task.Handler]++
	}
	poll := slots.PollResult{MoreDue: result.MoreDue, Saturated: result.Saturated, LastPriority: map[string]int{}}
	for i := range result.Polled { // the most urgent first
		poll.LastPriority[result.Polled[i].Task.Handler] = result.Polled[i].Task.Priority
	}
	claimable, drained := p.scheduler.Finish(held, p.slots(), endedByHandler(ended), claimed, poll)
	if drained {
		p.reportDrained(len(result.Polled) == 0)
	}
	if claimable {
		p.wake()
	}
}

// endedByHandler counts outcomes by handler.
func endedByHandler(group []*pipelines.Outcome) map[string]int {
	n := map[string]int{}
	for _, o := range group {
		n[o.Claim.Task.Handler]++
	}
	return n
}

// leaveQueues stops waiting for slots and capacity.
func (p *Pool) leaveQueues() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.scheduler.Leave()
}
