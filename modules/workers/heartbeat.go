package workers

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/sluiceworks/sluice/modules/leases"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db"
)

// watchInterval is how often a worker checks that it still holds the claims of its running tasks. The handlers of a
// cancelled run are stopped within this time.
const watchInterval = time.Second

// clockEvery is how often the database's clock is read. In between, the reading advances with this machine's monotonic
// clock.
const clockEvery = time.Minute

// clockStep is the minimum difference between the database's clock and this process's copy of it that counts as a clock
// change.
const clockStep = time.Second

// heartbeat renews the lease three times per lease, and cancels handlers whose claims are lost, until ctx ends.
func (p *Pool) heartbeat(ctx context.Context) {
	ctx = db.WithHeartbeatPool(ctx)
	renew := time.NewTicker(p.config.Lease / 3)
	defer renew.Stop()
	poll := time.NewTicker(watchInterval)
	defer poll.Stop()
	clock := time.NewTicker(clockEvery)
	defer clock.Stop()
	if p.config.PipelineExecutionID.IsZero() {
		signal(p.recoveryDue) // tasks lost before this process started may belong to workers without a row
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-poll.C:
			p.cancelLostClaims(ctx)
		case <-p.checkClaims:
			p.cancelLostClaims(ctx)
		case <-clock.C:
			p.syncClock(ctx)
		case <-renew.C:
			p.renew(ctx)
		}
	}
}

// renew extends the lease. It also extends an expired lease, as long as no other worker has recovered the tasks. If the
// worker's row is gone, renew cancels all running tasks and registers the process under a new id.
func (p *Pool) renew(ctx context.Context) {
	n, err := p.leases.Renew(ctx, p.workerID(), p.config.Lease)
	switch {
	case errors.Is(err, leases.ErrExpired):
		p.log.Error("lease expired, and other workers may have recovered its tasks: running tasks are cancelled")
		p.cancelRunning(errClaimLost)
		if err := p.register(ctx); err != nil {
			p.sampledLog.Warn("failed to register under a new id, retrying", zap.Error(err))
		}
		return
	case errors.Is(err, db.ErrReplaced):
		p.log.Error("database file moved, removed or replaced: the worker stops and records nothing more",
			zap.Error(err))
		p.abort(err)
		return
	case err != nil && ctx.Err() != nil:
		return // this process is stopping; the database has not failed
	case err != nil:
		p.sampledLog.Warn("renewing the lease failed, trying again", zap.Error(err))
		return
	case n.Late:
		p.log.Warn("lease renewed late: running tasks that were not recovered continue")
		p.cancelLostClaims(ctx)
	}
	p.mu.Lock()
	p.expires = n.ExpiresAt
	p.mu.Unlock()
	if p.serverChanged(n.Server) {
		p.markInDoubt()
		signal(p.recoveryDue)
	}
	if p.clockSet(ctx, n.Clock) {
		return
	}
	if n.Others && !p.db.Now().Before(p.recoverAfter) {
		signal(p.recoveryDue)
	}
}

// serverChanged reports whether the database server was restarted, or its reserved connections were reopened, since the
// last heartbeat. Commits that the server had acknowledged may then be lost.
func (p *Pool) serverChanged(server string) bool {
	sessions := p.db.Sessions()
	changed := p.server != "" && (server != p.server || sessions != p.sessions)
	p.server, p.sessions = server, sessions
	return changed
}

// clockSet reports whether the database's clock was changed, and follows the change. If the clock was set forward, all
// leases appear to have expired. Therefore recovery is suspended for the length of one lease, so that each live worker
// can renew.
func (p *Pool) clockSet(ctx context.Context, clock time.Time) bool {
	before := p.db.Now()
	if !clock.IsZero() && clock.Sub(before).Abs() < clockStep {
		return false
	}
	p.syncClock(ctx)
	changed := p.db.Now().Sub(before)
	if changed.Abs() < clockStep {
		return false
	}
	p.log.Warn("the database clock was changed", zap.Duration("by", changed.Round(time.Millisecond)))
	p.recoverAfter = p.db.Now().Add(p.config.Lease)
	if n, err := p.leases.Renew(ctx, p.workerID(), p.config.Lease); err == nil {
		p.mu.Lock()
		p.expires = n.ExpiresAt
		p.mu.Unlock()
	}
	return true
}

func (p *Pool) syncClock(ctx context.Context) {
	if err := p.db.SyncClock(ctx); err != nil {
		p.sampledLog.Warn("reading the database's clock failed, trying again", zap.Error(err))
	}
}

// cancelLostClaims cancels the handlers of running tasks whose rows have changed since the claim.
func (p *Pool) cancelLostClaims(ctx context.Context) {
	p.mu.Lock()
	claims := make([]*pipelines.Claim, 0, len(p.running))
	list := make([]tasks.Task, 0, len(p.running))
	for c := range p.running {
		claims, list = append(claims, c), append(list, c.Task)
	}
	p.mu.Unlock()
	if len(list) == 0 {
		return
	}
	changed, err := p.tasks.StaleVersions(ctx, list)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		p.sampledLog.Warn("failed to check claims, retrying", zap.Error(err))
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range changed {
		cause := errClaimLost
		if m.Ended {
			cause = errTaskEnded
		}
		if cancel, running := p.running[claims[m.Place]]; running {
			cancel(cause)
		}
	}
}
