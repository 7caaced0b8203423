package workers

import (
	"context"
	"math"
	"time"

	"go.uber.org/zap"
)

// shortestOverdueWait is the least time between two looks for overdue runs that the clock alone causes.
const shortestOverdueWait = 10 * time.Millisecond

// endOverdue ends runs, of this process or any other, whose pipeline's timeout is over. It looks three times in the
// length of a lease, and at the earliest deadline that it knows of if that is sooner.
func (p *Pool) endOverdue(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-p.overdue:
		}
		p.nextDue.Store(math.MaxInt64) // what is claimed from now on may be too late for this look
		wait := p.endOverdueNow(ctx)
		p.nextDue.Store(p.db.Now().Add(wait).UnixMicro())
		timer.Reset(wait)
	}
}

// endOverdueNow looks once, and returns how long to wait for the next look.
func (p *Pool) endOverdueNow(ctx context.Context) time.Duration {
	regular := p.config.Lease / 3
	ended, next, err := p.engine.EndOverdue(ctx)
	for _, id := range ended {
		p.log.Warn("ended a run: the timeout of its pipeline is over", zap.Stringer("pipeline_execution_id", id))
	}
	if len(ended) > 0 {
		signal(p.ended)
	}
	if err != nil {
		if ctx.Err() == nil {
			p.outage.Warn("ending runs whose pipeline's timeout is over failed, trying again", zap.Error(err))
		}
		return min(time.Second, regular)
	}
	if next.IsZero() {
		return regular
	}
	return min(regular, max(next.Sub(p.db.Now()), shortestOverdueWait))
}

// noteTimeout has the pool look for overdue runs sooner if a run that has begun by now may reach its deadline before
// the next look.
func (p *Pool) noteTimeout(timeout time.Duration) {
	if timeout > 0 && p.db.Now().Add(timeout).UnixMicro() < p.nextDue.Load() {
		signal(p.overdue)
	}
}
