package workers

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/sluiceworks/sluice/modules/leases"
	"github.com/sluiceworks/sluice/platform/db"
)

// watch is how often a worker looks whether its running tasks are still its own: a cancelled pipeline's handlers end within it.
const watch = time.Second

// clockEvery is how often the database's clock is read: this machine's monotonic clock carries the reading on between.
const clockEvery = time.Minute

// heartbeat renews the lease three times in its length, recovers the tasks of workers that did not, and cancels handlers whose
// claim is lost.
func (p *Pool) heartbeat(ctx context.Context) {
	ctx = db.Reserved(ctx)
	renew := time.NewTicker(p.config.Lease / 3)
	defer renew.Stop()
	look := time.NewTicker(watch)
	defer look.Stop()
	clock := time.NewTicker(clockEvery)
	defer clock.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
			p.cancelLost(ctx)
		case <-p.ended:
			p.cancelLost(ctx)
		case <-clock.C:
			if err := p.db.SyncClock(ctx); err != nil {
				p.log.Warn("reading the database's clock failed, trying again", zap.Error(err))
			}
		case <-renew.C:
			if p.renew(ctx) {
				p.recover(ctx)
			}
		}
	}
}

// recover takes the tasks of lost workers back.
func (p *Pool) recover(ctx context.Context) {
	if n, err := p.engine.Recover(ctx); err != nil {
		p.log.Warn("recovering tasks of lost workers failed, trying again", zap.Error(err))
	} else if n > 0 {
		p.config.Observer.Recovered(n)
		p.log.Info("took tasks back from workers that were lost", zap.Int("tasks", n))
	}
}

// renew prolongs the lease. If it has expired, everything this process holds is lost, and it starts anew under another name.
// It reports whether there may be tasks to take back.
func (p *Pool) renew(ctx context.Context) bool {
	expires, others, err := p.leases.Renew(ctx, p.workerID(), p.config.Lease)
	switch {
	case err == nil:
		p.mu.Lock()
		p.expires = expires
		p.mu.Unlock()
		return others
	case errors.Is(err, leases.ErrExpired):
		p.log.Error("the lease has expired: running tasks are given up")
		p.cancelRunning(errClaimLost)
		if err := p.register(ctx); err != nil {
			p.log.Warn("registering anew failed, trying again", zap.Error(err))
		}
	default:
		p.log.Warn("renewing the lease failed, trying again", zap.Error(err))
	}
	return true
}

// cancelLost ends the handlers of tasks that have moved on without them.
func (p *Pool) cancelLost(ctx context.Context) {
	versions := map[db.ID]int64{}
	p.mu.Lock()
	for c := range p.running {
		versions[c.Task.ID] = c.Task.Version
	}
	p.mu.Unlock()
	if len(versions) == 0 {
		return
	}
	moved, err := p.tasks.Moved(ctx, versions)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		p.log.Warn("looking at claims failed, trying again", zap.Error(err))
		return
	}
	lost := make(map[db.ID]bool, len(moved))
	for _, id := range moved {
		lost[id] = true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for c, cancel := range p.running {
		if lost[c.Task.ID] && c.Task.Version == versions[c.Task.ID] {
			cancel(errClaimLost)
		}
	}
}
