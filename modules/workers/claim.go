package workers

import (
	"context"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"sluice/modules/outbox"
	"sluice/modules/pipelines"
)

// claimLoop claims until ctx ends, as much as there are free slots. When the outbox holds no more for it, it sleeps until it is
// told of work, until a task becomes due, or for a while, since another process may have made work without telling.
func (p *Pool) claimLoop(ctx, work context.Context, handlers *sync.WaitGroup) {
	ready, cancel := p.engine.Waker().Ready(ctx)
	defer cancel()
	var d doubt
	for ctx.Err() == nil {
		p.dispel(work, &d)
		free := p.free()
		if free == 0 {
			select {
			case <-ctx.Done():
			case <-p.freed:
			}
			continue
		}
		if free = p.config.Budget.take(ctx, free); free == 0 {
			continue
		}
		// Under the context of the work: a claim that has been committed must be worked on, whatever became of ctx.
		n, err := p.claim(work, handlers, free)
		p.config.Budget.give(free - n)
		switch {
		case err != nil:
			p.log.Warn("claiming failed, trying again", zap.Error(err))
			p.arise(&d)
			sleep(ctx, retryClaim)
		case n < free:
			p.awaitWork(ctx, ready, n == 0)
		}
	}
}

// retryClaim is the wait after a claim that failed: the database is away, or refuses.
const retryClaim = 250 * time.Millisecond

// taken is how long a claim that got nothing waits at least: what was due is in another process's hands, or its commit is near.
const taken = 5 * time.Millisecond

// awaitWork sleeps until there is work, one statement a look.
func (p *Pool) awaitWork(ctx context.Context, ready <-chan struct{}, empty bool) {
	for {
		due := p.untilDue(ctx)
		if empty {
			due = max(due, taken)
		}
		if due <= 0 {
			return
		}
		timer := time.NewTimer(min(due, p.config.Poll))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-ready:
			timer.Stop()
			return
		case <-timer.C:
		}
		if due <= p.config.Poll {
			return
		}
	}
}

// untilDue is how long no task that this process can run is due; longer than the poll interval if none is known.
func (p *Pool) untilDue(ctx context.Context) time.Duration {
	p.mu.Lock()
	want := p.want(1)
	p.mu.Unlock()
	at, err := p.outbox.NextDue(ctx, want)
	if err != nil || at.IsZero() {
		return p.config.Poll + 1
	}
	return at.Sub(p.db.Now())
}

// bulkTurn is which of a pool's claims lets bulk go first.
const bulkTurn = 4

// want is what the next claim takes. Callers hold the lock.
func (p *Pool) want(limit int) outbox.Want {
	n := p.claims % len(p.config.Queues)
	return outbox.Want{
		Handlers: p.handlers.Names(), Queues: slices.Concat(p.config.Queues[n:], p.config.Queues[:n]), Limit: limit,
		BulkFirst: p.claims%bulkTurn == bulkTurn-1, PipelineExecutionID: p.config.PipelineExecutionID,
	}
}

// claim takes at most free tasks and starts their handlers.
func (p *Pool) claim(work context.Context, handlers *sync.WaitGroup, free int) (int, error) {
	p.mu.Lock()
	p.claims++
	request := pipelines.ClaimRequest{Worker: p.id, LeaseExpiresAt: p.expires, Want: p.want(free)}
	p.mu.Unlock()
	// A claim that takes longer than the lease is worth nothing.
	limited, cancel := context.WithTimeout(work, p.config.Lease)
	defer cancel()
	began := p.db.Now()
	claims, err := p.engine.Claim(limited, request)
	if err != nil {
		return 0, err
	}
	p.config.Observer.Claimed(len(claims), p.db.Now().Sub(began))
	for i := range claims {
		c := &claims[i]
		run, cancel := context.WithCancelCause(work)
		p.mu.Lock()
		p.running[c] = cancel
		p.mu.Unlock()
		handlers.Go(func() {
			defer cancel(nil)
			p.results <- p.run(run, request.Worker, c)
		})
	}
	return len(claims), nil
}

// free is the number of slots that hold no task. A slot is free again when its outcome is recorded.
func (p *Pool) free() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.config.Slots - len(p.running)
}

// release frees slots.
func (p *Pool) release(group []*pipelines.Outcome) {
	p.mu.Lock()
	for _, o := range group {
		delete(p.running, o.Claim)
	}
	p.mu.Unlock()
	p.config.Budget.give(len(group))
	select {
	case p.freed <- struct{}{}:
	default:
	}
}

// sleep waits for d or for the end of ctx.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
