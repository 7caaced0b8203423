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
	if p.taken >= p.slots() || ctx.Err() != nil || p.claimsPaused() {
		p.leaveRows()
		return false
	}
	// Room may be kept while slots are waited for, but never the other way round: so no two pools wait for each other.
	if len(p.candidates(p.slots()-p.taken, nil)) == 0 {
		p.seat.leave()
		return false
	}
	return p.seat.may(p.slots() - p.taken)
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
		p.turnFailed(work, group, request, err)
		return
	}
	begun := p.settle(work, request, held, result)
	for i := range begun {
		handlers.Go(begun[i])
	}
	p.claiming.RUnlock()
	if len(group) > 0 {
		p.config.Observer.Recorded(len(group), took)
		p.report(group, result)
	}
	if request.Want.Limit > 0 {
		p.config.Observer.Claimed(len(result.Claims), took)
		for i := range result.Claims {
			c := &result.Claims[i]
			p.config.Observer.Waited(c.Task.Queue, c.Task.Handler, c.Waited)
		}
	}
	if result.Expired {
		p.outage.Warn("claiming failed, trying again", zap.Error(leases.ErrExpired))
		p.claimFailed()
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

// turnFailed goes on after a turn that left nothing: its outcomes are tried again by themselves.
func (p *Pool) turnFailed(work context.Context, group []*pipelines.Outcome, request pipelines.Turn, err error) {
	if request.Want.Limit > 0 {
		p.arise()
		p.forgetHeads() // what it took is there again
	}
	if len(group) > 0 {
		p.finish(work, group)
	}
	if request.Want.Limit > 0 || len(group) == 0 {
		p.outage.Warn("claiming failed, trying again", zap.Error(err))
		p.claimFailed()
	}
}

// The wait after a claim that failed, while the database is away or refuses, doubles from the one to the other, or to the time between two
// heartbeats if that is shorter.
const (
	firstReclaim = 250 * time.Millisecond
	lastReclaim  = 4 * time.Second
)

// claimFailed has nothing claimed for a while. Outcomes are recorded meanwhile.
func (p *Pool) claimFailed() {
	p.mu.Lock()
	defer p.mu.Unlock()
	wait := min(firstReclaim<<min(p.claimFailures, 10), lastReclaim, max(p.config.Lease/3, firstReclaim))
	p.claimFailures++
	p.claimAfter = p.db.Now().Add(wait)
	time.AfterFunc(wait, p.lookNow)
}

// claimsPaused reports whether nothing is to be claimed for now, after a claim that failed or a task that could not be started. Callers
// hold the lock.
func (p *Pool) claimsPaused() bool {
	return p.claimFailures > 0 && p.db.Now().Before(p.claimAfter) || p.startsPaused()
}

// settle enters what a turn has done, and gives what is to be run.
func (p *Pool) settle(work context.Context, r pipelines.Turn, held reservation, result pipelines.Turned) (begun []func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, o := range r.Outcomes {
		delete(p.running, o.Claim)
	}
	p.giveBack(held, r.Outcomes, result.Claims)
	if r.Want.Limit > 0 && !result.Expired {
		p.claimFailures = 0
	}
	if len(result.Claims) > 0 && !p.claimed.Load() {
		p.claimed.Store(true)
	}
	for i := range result.Claims {
		c := &result.Claims[i]
		run, cancel := context.WithCancelCause(work)
		p.running[c] = cancel
		p.noteTimeout(c.RunTimeout())
		begun = append(begun, func() {
			defer cancel(nil)
			p.results <- p.run(run, r.Worker, c)
		})
	}
	p.looked(held.search, result)
	if (p.common.look || len(p.crowded) > 0) && p.taken < p.slots() {
		p.wake()
	}
	return begun
}
