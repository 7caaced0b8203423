package workers

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"sluice/modules/leases"
	"sluice/modules/pipelines"
	"sluice/modules/tasks"
)

// loops is how many transactions a pool has under way at once: while one waits for the disk, the other works.
const loops = 2

// most bounds one transaction of outcomes: past it, larger sets gain nothing and others wait longer.
const most = 400

// outboxTurn is which of a pool's turns leaves all free slots to what waits in the outbox. In the others, what becomes ready in the
// turn itself goes first, if nothing more urgent waits: so neither starves, and a run that has begun comes to its end.
const outboxTurn = 8

// turn hands over outcomes and claims for free slots, again and again, until there are no outcomes to come. A group is whatever
// has come in while the last one was being committed; a single outcome does not wait for company.
func (p *Pool) turns(ctx, work context.Context, handlers *sync.WaitGroup) {
	for {
		group, more := p.gather()
		if len(group) == 0 && !p.mayClaim(ctx) {
			if !more {
				return
			}
			select {
			case o, ok := <-p.results:
				if !ok {
					return
				}
				group = []*pipelines.Outcome{o}
			case <-p.kick:
				continue
			}
		}
		p.turn(ctx, work, handlers, group)
	}
}

// gather takes the outcomes that lie there; more: others may come.
func (p *Pool) gather() (group []*pipelines.Outcome, more bool) {
	for len(group) < most {
		select {
		case o, ok := <-p.results:
			if !ok {
				return group, false
			}
			group = append(group, o)
		default:
			return group, true
		}
	}
	return group, true
}

// mayClaim reports whether a turn without outcomes is worth it.
func (p *Pool) mayClaim(ctx context.Context) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.look || p.taken >= p.config.Slots || ctx.Err() != nil {
		p.seat.leave()
		return false
	}
	return p.seat.may(p.config.Slots - p.taken)
}

// turn is one transaction, and the beginning of the handlers of what it claimed.
func (p *Pool) turn(ctx, work context.Context, handlers *sync.WaitGroup, group []*pipelines.Outcome) {
	// Whoever must know every claim of this process waits until each has been entered.
	p.claiming.RLock()
	request, reserved := p.reserve(ctx, group)
	if len(group) == 0 && request.Want.Limit == 0 {
		p.claiming.RUnlock()
		return
	}
	began := p.db.Now()
	result, err := p.engineTurn(work, request)
	took := p.db.Now().Sub(began)
	if err != nil {
		p.cancelReservation(reserved)
		p.claiming.RUnlock()
		p.turnFailed(ctx, work, group, request, err)
		return
	}
	begun := p.settle(work, request, reserved, result)
	for i := range begun {
		handlers.Go(begun[i])
	}
	p.claiming.RUnlock()
	if len(group) > 0 {
		p.config.Observer.Recorded(len(group), took)
		p.reportLost(group, result.Lost)
	}
	if request.Want.Limit > 0 {
		p.config.Observer.Claimed(len(result.Claims), took)
	}
	if result.Expired {
		p.log.Warn("claiming failed, trying again", zap.Error(leases.ErrExpired))
		p.lookLater(ctx, len(group) == 0)
	}
}

// engineTurn bounds a turn that claims: a claim that takes longer than the lease is worth nothing.
func (p *Pool) engineTurn(work context.Context, request pipelines.Turn) (pipelines.Turned, error) {
	if request.Want.Limit > 0 {
		limited, cancel := context.WithTimeout(work, p.config.Lease)
		defer cancel()
		work = limited
	}
	return p.engine.Turn(work, request)
}

// turnFailed goes on after a turn that left nothing: outcomes are recorded by themselves, however long that takes.
func (p *Pool) turnFailed(ctx, work context.Context, group []*pipelines.Outcome, request pipelines.Turn, err error) {
	if request.Want.Limit > 0 {
		p.arise()
		p.heads.Forget() // what it took is there again
	}
	if len(group) > 0 {
		if request.Want.Limit > 0 {
			p.log.Warn("recording outcomes and claiming failed, trying again", zap.Int("tasks", len(group)), zap.Error(err))
		}
		p.finish(work, group)
		p.release(group)
	} else {
		p.log.Warn("claiming failed, trying again", zap.Error(err))
	}
	p.lookLater(ctx, len(group) == 0)
}

// retryClaim is the wait after a claim that failed: the database is away, or refuses.
const retryClaim = 250 * time.Millisecond

// lookLater has the outbox looked at again, after a while if nothing else has passed the time.
func (p *Pool) lookLater(ctx context.Context, wait bool) {
	if wait {
		sleep(ctx, retryClaim)
	}
	p.lookNow()
}

// reserve works out what a turn may claim and reserves slots for it. The slots of its outcomes are free once it is committed.
func (p *Pool) reserve(ctx context.Context, group []*pipelines.Outcome) (r pipelines.Turn, reserved int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r = pipelines.Turn{Worker: p.id, LeaseExpiresAt: p.expires, Outcomes: group}
	if ctx.Err() != nil {
		return r, 0
	}
	keep, reserved := p.seat.reserve(len(group), p.config.Slots-p.taken)
	free := keep + reserved
	if free <= 0 {
		return r, 0
	}
	p.taken += reserved
	p.turnsMade++
	r.Look, p.look = p.look, false
	if r.Look {
		p.claims++
	}
	r.Want = p.want(free)
	r.Successors, r.SuccessorPriority = free, tasks.LeastUrgent
	if r.Look && p.backlog {
		r.SuccessorPriority = p.backlogPriority
	}
	if r.Look && p.turnsMade%outboxTurn == 0 {
		r.Successors = 0
	}
	return r, reserved
}

// cancelReservation gives back what reserve took.
func (p *Pool) cancelReservation(reserved int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.taken -= reserved
	p.seat.give(reserved)
}

// settle enters what a turn has done, and gives what is to be run.
func (p *Pool) settle(work context.Context, r pipelines.Turn, reserved int, result pipelines.Turned) (begun []func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, o := range r.Outcomes {
		delete(p.running, o.Claim)
	}
	freed := reserved + len(r.Outcomes) - len(result.Claims)
	p.taken -= freed
	p.seat.give(freed)
	for i := range result.Claims {
		c := &result.Claims[i]
		run, cancel := context.WithCancelCause(work)
		p.running[c] = cancel
		begun = append(begun, func() {
			defer cancel(nil)
			p.results <- p.run(run, r.Worker, c)
		})
	}
	p.looked(r, result)
	return begun
}

// looked draws conclusions from a look at the outbox: as much as was asked for means that there is more. Callers hold the lock.
func (p *Pool) looked(r pipelines.Turn, result pipelines.Turned) {
	asked := r.Want.Limit - (len(result.Claims) - result.Taken)
	switch {
	case !r.Look || result.Expired:
	case asked <= 0:
		p.look = true // there was no slot left to look for
	case result.Taken == asked:
		p.look, p.backlog = true, true
		p.backlogPriority = result.Claims[len(result.Claims)-1].Task.Priority
	default:
		p.backlog = false
		p.exhausted(result.Taken == 0)
	}
	if p.look && p.taken < p.config.Slots {
		p.wake()
	}
}
