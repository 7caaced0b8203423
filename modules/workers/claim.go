package workers

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"sluice/modules/outbox"
	"sluice/modules/pipelines"
)

// claimLoop claims until ctx ends. It looks at the outbox when it is told of work, when a task becomes due, and otherwise now
// and then, since another process may have made work without telling.
func (p *Pool) claimLoop(ctx, work context.Context, handlers *sync.WaitGroup) {
	ready, cancel := p.engine.Waker().Ready()
	defer cancel()
	more := true // there may be due work in the outbox
	for ctx.Err() == nil {
		if free := p.free(); free > 0 && more {
			n, err := p.claim(ctx, work, handlers, free)
			if err != nil {
				p.claimFailed(ctx, err)
				continue
			}
			more = n == free
			if n > 0 {
				continue
			}
		}
		more = p.wait(ctx, ready, more)
	}
}

// wait sleeps until there may be work for a free slot, and reports whether there may be due work.
func (p *Pool) wait(ctx context.Context, ready <-chan struct{}, more bool) bool {
	if more || p.free() == 0 {
		select { // all slots are taken: only one that ends matters
		case <-ctx.Done():
		case <-p.freed:
		}
		return true
	}
	timer := time.NewTimer(p.untilDue(ctx))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-ready:
	case <-timer.C:
	}
	return true
}

// untilDue is how long no known task is due, at most the poll interval.
func (p *Pool) untilDue(ctx context.Context) time.Duration {
	at, err := p.outbox.NextDue(ctx, p.want(1))
	if err != nil || at.IsZero() {
		return p.config.Poll
	}
	return min(max(0, at.Sub(p.db.Now())), p.config.Poll)
}

func (p *Pool) want(limit int) outbox.Want {
	return outbox.Want{Handlers: p.handlers.Names(), Limit: limit, PipelineExecutionID: p.config.PipelineExecutionID}
}

// claim takes at most free tasks and starts their handlers.
func (p *Pool) claim(ctx, work context.Context, handlers *sync.WaitGroup, free int) (int, error) {
	p.mu.Lock()
	request := pipelines.ClaimRequest{Worker: p.id, LeaseExpiresAt: p.expires, Want: p.want(free)}
	p.mu.Unlock()
	claims, err := p.engine.Claim(ctx, request)
	if err != nil {
		return 0, err
	}
	for i := range claims {
		c := &claims[i]
		run, cancel := context.WithCancelCause(work)
		p.mu.Lock()
		p.running[c] = cancel
		p.mu.Unlock()
		handlers.Go(func() {
			defer cancel(nil)
			p.results <- &result{outcome: p.run(run, request.Worker, c)}
		})
	}
	return len(claims), nil
}

// claimFailed waits before the next try: the database is away, or refuses.
func (p *Pool) claimFailed(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	p.log.Warn("claiming failed, trying again", zap.Error(err))
	sleep(ctx, p.config.Poll)
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
