package workers

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/sluiceworks/sluice/modules/leases"
	"github.com/sluiceworks/sluice/modules/pipelines"
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
	if p.taken >= p.config.Slots || ctx.Err() != nil {
		p.leaveRows()
		return false
	}
	// Room may be kept while slots are waited for, but never the other way round: so no two pools wait for each other.
	if len(p.candidates(p.config.Slots-p.taken, nil)) == 0 {
		p.seat.leave()
		return false
	}
	return p.seat.may(p.config.Slots - p.taken)
}

// turn is one transaction, and the beginning of the handlers of what it claimed.
func (p *Pool) turn(ctx, work context.Context, handlers *sync.WaitGroup, group []*pipelines.Outcome) {
	// Whoever must know every claim of this process waits until each has been entered.
	p.claiming.RLock()
	request, held := p.reserve(ctx, group)
	if len(group) == 0 && request.Want.Limit == 0 {
		p.claiming.RUnlock()
		return
	}
	began := p.db.Now()
	result, err := p.engineTurn(work, request)
	took := p.db.Now().Sub(began)
	if err != nil {
		p.cancelReservation(held)
		p.claiming.RUnlock()
		p.turnFailed(ctx, work, group, request, err)
		return
	}
	begun := p.settle(work, request, held, result)
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
		p.forgetHeads() // what it took is there again
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

// settle enters what a turn has done, and gives what is to be run.
func (p *Pool) settle(work context.Context, r pipelines.Turn, held reservation, result pipelines.Turned) (begun []func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, o := range r.Outcomes {
		delete(p.running, o.Claim)
	}
	p.giveBack(held, r.Outcomes, result.Claims)
	for i := range result.Claims {
		c := &result.Claims[i]
		run, cancel := context.WithCancelCause(work)
		p.running[c] = cancel
		begun = append(begun, func() {
			defer cancel(nil)
			p.results <- p.run(run, r.Worker, c)
		})
	}
	p.looked(held.search, result)
	if (p.common.look || len(p.crowded) > 0) && p.taken < p.config.Slots {
		p.wake()
	}
	return begun
}
