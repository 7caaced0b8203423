package workers

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/sluiceworks/sluice/modules/leases"
	"github.com/sluiceworks/sluice/modules/pipelines"
)

// concurrentExchanges is how many transactions a pool has under way at once: while one waits for the disk, the other
// works.
const concurrentExchanges = 2

// maxOutcomes bounds one transaction of outcomes: past it, larger sets gain nothing and others wait longer.
const maxOutcomes = 400

// outboxFirstEvery is which of a pool's turns leaves all free slots to what waits in the outbox. In the others, what
// becomes ready in the turn itself goes first, if nothing more urgent waits: so neither starves, and a run that has
// begun comes to its end.
const outboxFirstEvery = 8

// turn hands over outcomes and claims for free slots, again and again, until there are no outcomes to come. A group is
// whatever has come in while the last one was being committed; a single outcome does not wait for company.
func (p *Pool) runLoop(ctx, work context.Context, handlers *sync.WaitGroup) {
	for {
		group, more := p.collectOutcomes()
		if len(group) == 0 && !p.canClaim(ctx) {
			if !more {
				return
			}
			select {
			case o, ok := <-p.results:
				if !ok {
					return
				}
				group = []*pipelines.Outcome{o}
			case <-p.wakeup:
				continue
			}
		}
		p.exchange(ctx, work, handlers, group)
	}
}

// collectOutcomes takes the outcomes that lie there; more: others may come.
func (p *Pool) collectOutcomes() (group []*pipelines.Outcome, more bool) {
	for len(group) < maxOutcomes {
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

// canClaim reports whether a turn without outcomes is worth it.
func (p *Pool) canClaim(ctx context.Context) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.used >= p.slots() || ctx.Err() != nil || p.claimsPaused() {
		p.leaveQueues()
		return false
	}
	// Room may be kept while slots are waited for, but never the other way round: so no two pools wait for each other.
	if len(p.pollable(p.slots()-p.used, nil)) == 0 {
		p.seat.leave()
		return false
	}
	return p.seat.tryEnqueue(p.slots() - p.used)
}

// exchange is one transaction, and the beginning of the handlers of what it claimed.
func (p *Pool) exchange(ctx, work context.Context, handlers *sync.WaitGroup, group []*pipelines.Outcome) {
	// Whoever must know every claim of this process waits until each has been entered.
	p.claiming.RLock()
	request, held := p.reserve(ctx, group)
	if len(group) == 0 && request.Filter.Limit == 0 {
		p.claiming.RUnlock()
		return
	}
	began := p.db.Now()
	result, err := p.callEngine(work, request)
	took := p.db.Now().Sub(began)
	if err != nil {
		p.cancelReservation(held)
		p.claiming.RUnlock()
		p.exchangeFailed(work, group, request, err)
		return
	}
	begun := p.applyResult(work, request, held, result)
	for i := range begun {
		handlers.Go(begun[i])
	}
	p.claiming.RUnlock()
	if len(group) > 0 {
		p.config.Observer.Recorded(len(group), took)
		p.report(group, result)
	}
	if request.Filter.Limit > 0 {
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

// callEngine bounds a turn that claims: a claim that takes longer than the lease is worth nothing.
func (p *Pool) callEngine(work context.Context, request pipelines.ExchangeRequest) (pipelines.ExchangeResult, error) {
	if request.Filter.Limit > 0 {
		limited, cancel := context.WithTimeout(work, p.config.Lease)
		defer cancel()
		work = limited
	}
	return p.engine.CompleteAndClaim(work, request)
}

// exchangeFailed goes on after a turn that left nothing: its outcomes are tried again by themselves.
func (p *Pool) exchangeFailed(work context.Context, group []*pipelines.Outcome, request pipelines.ExchangeRequest, err error) {
	if request.Filter.Limit > 0 {
		p.markInDoubt()
		p.resetCursors() // what it took is there again
	}
	if len(group) > 0 {
		p.finish(work, group)
	}
	if request.Filter.Limit > 0 || len(group) == 0 {
		p.outage.Warn("claiming failed, trying again", zap.Error(err))
		p.claimFailed()
	}
}

// The wait after a claim that failed, while the database is away or refuses, doubles from the one to the other, or to
// the time between two heartbeats if that is shorter.
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
	time.AfterFunc(wait, p.pollNow)
}

// claimsPaused reports whether nothing is to be claimed for now, after a claim that failed or a task that could not be
// started. Callers hold the lock.
func (p *Pool) claimsPaused() bool {
	return p.claimFailures > 0 && p.db.Now().Before(p.claimAfter) || p.startsPaused()
}

// applyResult enters what a turn has done, and gives what is to be run.
func (p *Pool) applyResult(work context.Context, r pipelines.ExchangeRequest, held reservation, result pipelines.ExchangeResult) (begun []func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, o := range r.Outcomes {
		delete(p.running, o.Claim)
	}
	p.releaseCapacity(held, r.Outcomes, result.Claims)
	if r.Filter.Limit > 0 && !result.Expired {
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
	p.recordPoll(held.search, result)
	if (p.shared.due || len(p.saturated) > 0) && p.used < p.slots() {
		p.wake()
	}
	return begun
}
