package workers

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// inDoubtPolls is how often a worker compares its claims with the database after an event that leaves claims in doubt:
// once at once, and then with each heartbeat of one lease, because a commit may still be in progress.
const inDoubtPolls = 4

// compareShare limits the share of time that comparisons without doubt take: one part in 100.
const compareShare = 100

// markInDoubt requests a comparison of claims with the database. Callers use it when a failed claim may have been
// committed, when an outcome was refused, and when the database may have lost commits.
func (p *Pool) markInDoubt() { signal(p.inDoubt) }

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // a signal is already pending
	}
}

// resolveInDoubtLoop recovers the tasks of lost workers, and compares this worker's claims in the database with the
// tasks that it runs, until ctx ends. It runs apart from the heartbeat, which must not be delayed.
//
// While claims are in doubt, it compares with each heartbeat. Otherwise it compares only if something was claimed since
// the last comparison, and limits the time by compareShare. A comparison scans all open runs.
func (p *Pool) resolveInDoubtLoop(ctx context.Context) {
	tick := time.NewTicker(p.config.Lease / 3)
	defer tick.Stop()
	comparisons, next := 0, p.db.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.recoveryDue:
			p.recover(ctx)
			continue
		case <-p.inDoubt:
			comparisons = inDoubtPolls
		case <-tick.C:
			if comparisons == 0 && (p.db.Now().Before(next) || !p.claimedSinceCheck.Load()) {
				continue
			}
		}
		began := p.db.Now()
		p.claimedSinceCheck.Store(false)
		if err := p.releaseOrphans(ctx); err != nil && ctx.Err() == nil {
			p.claimedSinceCheck.Store(true)
			p.sampledLog.Warn("comparing claims with the database failed, trying again", zap.Error(err))
			continue
		}
		comparisons = max(comparisons-1, 0)
		next = p.db.Now().Add(compareShare * p.db.Now().Sub(began))
	}
}

// recover recovers the tasks of workers whose leases have expired. If the database fails, recover is retried.
func (p *Pool) recover(ctx context.Context) {
	n, err := p.engine.RecoverLost(ctx, p.workerID(), p.config.Lease)
	if n > 0 {
		p.config.Observer.Recovered(n)
		p.log.Info("recovered tasks of workers with an expired lease", zap.Int("tasks", n))
	}
	var failed engine.RecoveryErrors
	switch {
	case errors.As(err, &failed):
		for _, f := range failed {
			p.config.Observer.RecoveryFailed()
			p.log.Error("failed to recover a run: see `sluice doctor`",
				zap.Stringer("pipeline_execution_id", f.PipelineExecutionID),
				zap.Int("attempts", f.Attempts), zap.Bool("abandoned", f.Abandoned), zap.Error(f.Err))
		}
	case err != nil && ctx.Err() == nil:
		signal(p.recoveryDue)
		p.sampledLog.Warn("recovering tasks of lost workers failed, trying again", zap.Error(err))
		sleep(ctx, min(time.Second, p.config.Lease/3))
	}
}

// claimKey identifies a claim.
type claimKey struct {
	task    dbtype.ID
	version int64
	since   int64
}

func keyOf(t *tasks.Task) claimKey { return claimKey{t.ID, t.Version, t.StartedAt.UnixMicro()} }

// addRunning adds the claims of the tasks that this process runs.
func (p *Pool) addRunning(known map[claimKey]bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.running {
		known[keyOf(&c.Task)] = true
	}
}

// releaseOrphans releases the tasks that are Running under this worker's id but that it does not run. Tasks that
// started or ended during the query are excluded, and the fence refuses tasks that have changed since.
func (p *Pool) releaseOrphans(ctx context.Context) error {
	known := map[claimKey]bool{}
	p.addRunning(known)
	list, err := p.engine.RunningTasks(ctx, p.workerID(), p.config.PipelineExecutionID)
	if err != nil || len(list) == 0 {
		return err
	}
	p.lastClaim() // now every committed claim is in running
	p.addRunning(known)
	var orphans []*pipelines.Outcome
	for i := range list {
		if !known[keyOf(&list[i])] {
			orphans = append(orphans, &pipelines.Outcome{
				Claim: &pipelines.Claim{Task: list[i]}, Kind: pipelines.OutcomeReleased,
				Reason: "its worker does not run it: the answer to the claim, or a later commit, was lost",
			})
		}
	}
	if len(orphans) == 0 {
		return nil
	}
	lost, err := p.engine.RecordOutcomes(ctx, p.workerID(), orphans)
	given := 0
	for _, l := range lost {
		if l == nil {
			given++
		}
	}
	if given > 0 {
		p.log.Warn("released tasks that were Running in this worker's name but not running here",
			zap.Int("tasks", given))
	}
	return err
}
