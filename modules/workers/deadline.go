package workers

import (
	"context"
	"math"
	"time"

	"go.uber.org/zap"
)

// shortestOverdueWait is the minimum time between two checks for overdue runs that the timer causes.
const shortestOverdueWait = 10 * time.Millisecond

// endOverdue ends the runs of all processes whose pipeline timeout has passed, until ctx ends. It checks three times
// per lease, and earlier if it knows of an earlier deadline.
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
		p.nextDue.Store(math.MaxInt64) // a run claimed from now on may have a deadline that this check does not see
		wait := p.endOverdueNow(ctx)
		p.nextDue.Store(p.db.Now().Add(wait).UnixMicro())
		timer.Reset(wait)
	}
}

// endOverdueNow ends the overdue runs once. It returns how long to wait before the next check. Errors are logged.
func (p *Pool) endOverdueNow(ctx context.Context) time.Duration {
	regular := p.config.Lease / 3
	ended, next, err := p.engine.EndOverdue(ctx)
	for _, id := range ended {
		p.log.Warn("run failed: pipeline timeout exceeded", zap.Stringer("pipeline_execution_id", id))
	}
	if len(ended) > 0 {
		signal(p.checkClaims)
	}
	if err != nil {
		if ctx.Err() == nil {
			p.sampledLog.Warn("failed to end overdue runs, retrying", zap.Error(err))
		}
		return min(time.Second, regular)
	}
	if next.IsZero() {
		return regular
	}
	return min(regular, max(next.Sub(p.db.Now()), shortestOverdueWait))
}

// noteTimeout requests an earlier check for overdue runs if a run that starts now may reach its deadline before the
// next check. A timeout of 0 means that the run has no deadline.
func (p *Pool) noteTimeout(timeout time.Duration) {
	if timeout > 0 && p.db.Now().Add(timeout).UnixMicro() < p.nextDue.Load() {
		signal(p.overdue)
	}
}
