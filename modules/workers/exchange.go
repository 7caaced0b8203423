package workers

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/sluiceworks/sluice/modules/leases"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/modules/workers/slots"
)

// concurrentExchanges is how many exchanges a pool runs at once. While one waits for the disk, the other works.
const concurrentExchanges = 2

// maxOutcomes limits the outcomes of one exchange. A larger group is not faster per outcome, and delays other writers.
const maxOutcomes = 400

// runLoop runs exchanges until the channel of outcomes is closed. An exchange records the outcomes that arrived during
// the previous one and claims tasks for free slots. A single outcome is recorded at once.
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

// collectOutcomes returns the outcomes that are available now, at most maxOutcomes. more is false if the channel is
// closed and empty.
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

// canClaim reports whether an exchange without outcomes can claim anything: a slot is free, claims are not paused, and
// the outbox may have due tasks. If no shared slot is free, the pool waits for one and is woken.
func (p *Pool) canClaim(ctx context.Context) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if ctx.Err() != nil || p.claimsPaused() {
		p.scheduler.Leave()
		return false
	}
	return p.scheduler.CanClaim(p.slots())
}

// exchange runs one exchange and starts the handlers of the tasks that it claimed.
func (p *Pool) exchange(ctx, work context.Context, handlers *sync.WaitGroup, group []*pipelines.Outcome) {
	// Hold claiming until all claims are in running. lastClaim waits for this.
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
	claims := result.Claims()
	begun := p.applyResult(work, request, held, result, claims)
	for i := range begun {
		handlers.Go(begun[i])
	}
	p.claiming.RUnlock()
	if len(group) > 0 {
		p.config.Observer.Recorded(len(group), took)
		p.report(group, result)
	}
	if request.Filter.Limit > 0 {
		p.config.Observer.Claimed(len(claims), took)
		for _, c := range claims {
			p.config.Observer.Waited(c.Task.Queue, c.Task.Handler, c.Waited)
		}
	}
	if result.Expired {
		p.sampledLog.Warn("failed to claim tasks, retrying", zap.Error(leases.ErrExpired))
		p.claimFailed()
	}
}

// callEngine runs the transaction of an exchange. If the exchange claims tasks, its timeout is the length of the lease,
// because a claim that takes longer is useless.
func (p *Pool) callEngine(work context.Context, request engine.ExchangeRequest) (engine.ExchangeResult, error) {
	if request.Filter.Limit > 0 {
		limited, cancel := context.WithTimeout(work, p.config.Lease)
		defer cancel()
		work = limited
	}
	return p.engine.CompleteAndClaim(work, request)
}

// exchangeFailed handles an exchange that failed. Its outcomes are retried without a claim. If it tried to claim, the
// claim is in doubt and further claims are paused.
func (p *Pool) exchangeFailed(
	work context.Context, group []*pipelines.Outcome, request engine.ExchangeRequest, err error,
) {
	if request.Filter.Limit > 0 {
		p.markInDoubt()
		p.resetCursors() // the rows that the failed claim deleted exist again
	}
	if len(group) > 0 {
		p.retryLater(work, group)
	}
	if request.Filter.Limit > 0 || len(group) == 0 {
		p.sampledLog.Warn("failed to claim tasks, retrying", zap.Error(err))
		p.claimFailed()
	}
}

// After a failed claim, the next one waits. The wait starts at firstReclaim and doubles up to lastReclaim, or up to the
// interval between two heartbeats if that is shorter.
const (
	firstReclaim = 250 * time.Millisecond
	lastReclaim  = 4 * time.Second
)

// claimFailed pauses claims. Outcomes are still recorded.
func (p *Pool) claimFailed() {
	p.mu.Lock()
	defer p.mu.Unlock()
	wait := min(firstReclaim<<min(p.claimFailures, 10), lastReclaim, max(p.config.Lease/3, firstReclaim))
	p.claimFailures++
	p.claimAfter = p.db.Now().Add(wait)
	time.AfterFunc(wait, p.pollNow)
}

// claimsPaused reports whether claims are paused because a claim failed or a task could not be started. Callers hold
// mu.
func (p *Pool) claimsPaused() bool {
	return p.claimFailures > 0 && p.db.Now().Before(p.claimAfter) || p.startsPaused()
}

// applyResult updates the pool after a committed exchange. It returns the functions that run the claimed tasks.
func (p *Pool) applyResult(
	work context.Context, r engine.ExchangeRequest, held slots.Reservation, result engine.ExchangeResult,
	claims []*pipelines.Claim,
) (begun []func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, o := range r.Outcomes {
		delete(p.running, o.Claim)
	}
	p.finishReservation(held, r.Outcomes, result, claims)
	if r.Filter.Limit > 0 && !result.Expired {
		p.claimFailures = 0
	}
	if len(claims) > 0 && !p.claimedSinceCheck.Load() {
		p.claimedSinceCheck.Store(true)
	}
	for _, c := range claims {
		run, cancel := context.WithCancelCause(work)
		p.running[c] = cancel
		p.noteTimeout(c.RunTimeout())
		begun = append(begun, func() {
			defer cancel(nil)
			p.results <- p.run(run, r.Worker, c)
		})
	}
	return begun
}
