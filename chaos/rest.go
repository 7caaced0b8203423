package chaos

import (
	"context"
	"fmt"
	"time"
)

// watch looks twice a second whether anything has come to rest that should not.
func (r *round) watch(ctx context.Context) {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		n, err := stuck(ctx, r.db, r.config.stale())
		if err == nil && n > 0 {
			r.mu.Lock()
			r.report.Stuck = max(r.report.Stuck, n)
			r.mu.Unlock()
		}
	}
}

// settle waits until all runs have ended. What has not moved for too long never will.
func (r *round) settle(ctx context.Context) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		var open, still int
		err := r.insist(ctx, func() (err error) {
			if open, err = count(ctx, r.db, openExecutions, nil); err == nil {
				still, err = stuck(ctx, r.db, r.config.stale())
			}
			return err
		})
		if err != nil || open == 0 {
			return err
		}
		if still > 0 {
			r.mu.Lock()
			r.report.Stuck = max(r.report.Stuck, still)
			r.mu.Unlock()
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d runs are still open: %w", open, ctx.Err())
		case <-tick.C:
		}
	}
}
