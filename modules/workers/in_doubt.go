package workers

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db"
)

// inDoubtPolls is how often a worker compares after something that may have left tasks in its name that it does not
// run: at once, and again with each heartbeat of one lease, for a commit may still be under way.
const inDoubtPolls = 4

// compareShare bounds the time that comparing without a reason takes: one part in so many.
const compareShare = 100

// markInDoubt has the worker compare soon: a claim failed whose commit may stand, an outcome was refused, or the
// database may have lost commits.
func (p *Pool) markInDoubt() { signal(p.inDoubt) }

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // it has been told
	}
}

// resolveInDoubtLoop does what a heartbeat must not wait for: it recovers the tasks of lost workers, and compares what
// the database says this worker runs with what it runs. It compares with each heartbeat while there is doubt, and else
// if something was claimed since, as long as that takes little of the time: what a worker runs is found by looking
// through all open executions.
func (p *Pool) resolveInDoubtLoop(ctx context.Context) {
	tick := time.NewTicker(p.config.Lease / 3)
	defer tick.Stop()
	looks, next := 0, p.db.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.lost:
			p.recover(ctx)
			continue
		case <-p.inDoubt:
			looks = inDoubtPolls
		case <-tick.C:
			if looks == 0 && (p.db.Now().Before(next) || !p.claimed.Load()) {
				continue
			}
		}
		began := p.db.Now()
		p.claimed.Store(false)
		if err := p.releaseOrphans(ctx); err != nil && ctx.Err() == nil {
			p.claimed.Store(true)
			p.outage.Warn("comparing claims with the database failed, trying again", zap.Error(err))
			continue
		}
		looks = max(looks-1, 0)
		next = p.db.Now().Add(compareShare * p.db.Now().Sub(began))
	}
}

// recover takes the tasks of lost workers back.
func (p *Pool) recover(ctx context.Context) {
	n, err := p.engine.RecoverLost(ctx, p.workerID(), p.config.Lease)
	if n > 0 {
		p.config.Observer.Recovered(n)
		p.log.Info("took tasks back from workers that were lost", zap.Int("tasks", n))
	}
	var failed pipelines.RecoveryErrors
	switch {
	case errors.As(err, &failed):
		for _, f := range failed {
			p.config.Observer.RecoveryFailed()
			p.log.Error("an execution could not be recovered: `sluice doctor` shows it", zap.Stringer("pipeline_execution_id", f.PipelineExecutionID),
				zap.Int("attempts", f.Attempts), zap.Bool("abandoned", f.Abandoned), zap.Error(f.Err))
		}
	case err != nil && ctx.Err() == nil:
		signal(p.lost)
		p.outage.Warn("recovering tasks of lost workers failed, trying again", zap.Error(err))
		sleep(ctx, min(time.Second, p.config.Lease/3))
	}
}

// claimKey names a claim.
type claimKey struct {
	task    db.ID
	version int64
	since   int64
}

func keyOf(t *tasks.Task) claimKey { return claimKey{t.ID, t.Version, t.StartedAt.UnixMicro()} }

// knowRunning adds the claims that this process runs.
func (p *Pool) knowRunning(known map[claimKey]bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.running {
		known[keyOf(&c.Task)] = true
	}
}

// releaseOrphans makes the tasks Ready again that are Running in this worker's name and that it does not run. What it
// has begun or ended while the database was asked is no stray, and the fence refuses what has moved on.
func (p *Pool) releaseOrphans(ctx context.Context) error {
	known := map[claimKey]bool{}
	p.knowRunning(known)
	list, err := p.engine.RunningTasks(ctx, p.workerID(), p.config.PipelineExecutionID)
	if err != nil || len(list) == 0 {
		return err
	}
	p.lastClaim() // claims that are committed have been entered
	p.knowRunning(known)
	var strays []*pipelines.Outcome
	for i := range list {
		if !known[keyOf(&list[i])] {
			strays = append(strays, &pipelines.Outcome{
				Claim: &pipelines.Claim{Task: list[i]}, Kind: pipelines.OutcomeReleased,
				Reason: "its worker does not run it: the answer to the claim, or a later commit, was lost",
			})
		}
	}
	if len(strays) == 0 {
		return nil
	}
	lost, err := p.engine.RecordOutcomes(ctx, p.workerID(), strays)
	given := 0
	for _, l := range lost {
		if l == nil {
			given++
		}
	}
	if given > 0 {
		p.log.Warn("gave back tasks that were Running in this worker's name and that it does not run", zap.Int("tasks", given))
	}
	return err
}
