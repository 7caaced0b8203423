package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sluiceworks/sluice/modules/leases"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// MaxRecoveryAttempts is how often the recovery of one execution is attempted before the execution is abandoned.
const MaxRecoveryAttempts = 3

const (
	// recoveryBatch is how many executions one transaction recovers, unless a recovery fails.
	recoveryBatch = 50
	// recoveryHold is how long other processes leave an execution alone after its recovery began, unless the caller
	// specifies a duration.
	recoveryHold = 15 * time.Second
	// longestRecoveryWait is the maximum delay before a failed recovery is retried.
	longestRecoveryWait = time.Hour
)

// Recover recovers the tasks of workers whose lease has expired, deletes those workers, and returns the number of
// tasks.
//
// Executions are recovered independently. If some fail, the error is a RecoveryErrors, and they are retried later, each
// in its own transaction. After MaxRecoveryAttempts failures an execution is abandoned with all its tasks. Failures
// caused by the state of the database do not count.
func (e *Engine) Recover(ctx context.Context) (int, error) {
	found, err := e.leases.Due(ctx)
	if err != nil || !found {
		return 0, err
	}
	return e.RecoverLost(ctx, "", recoveryHold)
}

// RecoverLost is Recover, and also recovers running tasks whose worker has no row. worker is the calling worker, which
// is not treated as expired; it may be empty. For the duration hold, other processes leave the executions alone that
// this call has begun to recover.
func (e *Engine) RecoverLost(ctx context.Context, worker string, hold time.Duration) (recovered int, err error) {
	if found, err := e.leases.Due(ctx); err != nil {
		return 0, err
	} else if !found {
		if found, err = e.tasks.AnyWorkerLost(ctx); err != nil || !found {
			return 0, err
		}
	}
	r := &recovery{engine: e, worker: worker, hold: hold}
	taken, err := r.acquire(ctx)
	if err != nil {
		return 0, err
	}
	if err := r.run(ctx, taken); err != nil {
		return r.recovered, err
	}
	if len(r.failed) > 0 {
		return r.recovered, r.failed
	}
	return r.recovered, nil
}

// recovery is the state of one call of RecoverLost.
type recovery struct {
	engine    *Engine
	worker    string // the calling worker
	hold      time.Duration
	lost      map[string]bool // workers without a row, which cannot get further tasks
	recovered int
	failed    RecoveryErrors
}

// acquire deletes the workers whose lease has expired, and records the executions with running tasks of workers without
// a row, in one transaction. After the commit those workers cannot write, and the executions will be recovered even if
// this process ends. take returns the executions that no other process is recovering.
func (r *recovery) acquire(ctx context.Context) (taken []leases.Recovery, err error) {
	e := r.engine
	published := int64(0) // outbox rows that were reserved for lost workers
	err = e.db.Transaction(ctx, func(tx db.Tx) error {
		r.lost, taken, published = map[string]bool{}, nil, 0
		expired, err := e.leases.Expired(tx, r.worker)
		if err != nil {
			return err
		}
		if len(expired) > 0 {
			if err := e.leases.Delete(tx, expired); err != nil {
				return err
			}
			if published, err = e.publish(tx, expired); err != nil {
				return err
			}
		}
		list, err := e.tasks.LostWorkers(tx)
		if err != nil {
			return err
		}
		var executions []dbtype.ID
		for _, x := range list {
			r.lost[x.WorkerID] = true
			executions = append(executions, x.PipelineExecutionID)
		}
		taken, err = e.leases.Acquire(tx, distinct(executions), r.hold)
		return err
	})
	if err == nil && published > 0 {
		e.notifier.committed(ctx, true)
	}
	return taken, err
}

// run recovers new executions in batches. It recovers an execution alone if its batch failed or if its recovery was
// begun before, because that may have ended the process. The executions with the fewest failures come first, so that
// one that ends this process too comes last.
func (r *recovery) run(ctx context.Context, taken []leases.Recovery) error {
	var alone, fresh []leases.Recovery
	for _, x := range taken {
		if x.Taken > 1 {
			alone = append(alone, x)
		} else {
			fresh = append(fresh, x)
		}
	}
	for batch := range slices.Chunk(fresh, recoveryBatch) {
		err := r.recoverBatch(ctx, batch)
		switch {
		case err == nil:
		case ctx.Err() != nil || db.Away(err):
			return r.releaseHold(ctx, batch, err)
		default:
			alone = append(alone, batch...)
		}
	}
	slices.SortStableFunc(alone, func(a, b leases.Recovery) int { return a.Attempts - b.Attempts })
	for _, x := range alone {
		if err := r.recoverOne(ctx, x); err != nil {
			return err
		}
	}
	return nil
}

func (r *recovery) recoverBatch(ctx context.Context, batch []leases.Recovery) error {
	ids := make([]dbtype.ID, len(batch))
	for i := range batch {
		ids[i] = batch[i].PipelineExecutionID
	}
	n, err := r.engine.recoverIn(ctx, ids, r.lost)
	r.recovered += n
	return err
}

// releaseHold makes executions due for recovery at once, after the database was unavailable. It returns cause.
func (r *recovery) releaseHold(ctx context.Context, list []leases.Recovery, cause error) error {
	for _, x := range list {
		if err := r.engine.leases.Failed(ctx, x.PipelineExecutionID, cause.Error(), 0); err != nil {
			break // the database is still unavailable; the hold expires
		}
	}
	return cause
}

// recoverOne recovers one execution. It returns only errors that prevent the recovery of all other executions too.
// Other errors are added to r.failed.
func (r *recovery) recoverOne(ctx context.Context, x leases.Recovery) error {
	id := x.PipelineExecutionID
	if x.Attempts >= MaxRecoveryAttempts {
		return r.abandon(ctx, x)
	}
	if err := r.engine.leases.Attempt(ctx, id, r.hold); err != nil {
		return err
	}
	n, err := r.engine.recoverIn(ctx, []dbtype.ID{id}, r.lost)
	r.recovered += n
	switch {
	case err == nil:
		return nil
	case isDefinitionMissing(err):
		return r.engine.abandon(ctx, id, err.Error())
	case ctx.Err() != nil, db.Away(err):
		return errors.Join(err, r.engine.leases.UndoAttempt(ctx, id))
	case db.IsUnhealthy(err): // affects only this execution: it is locked or the statement timed out
		r.failed = append(r.failed, &RecoveryError{PipelineExecutionID: id, Attempts: x.Attempts, Err: err})
		return r.engine.leases.UndoAttempt(ctx, id)
	}
	r.failed = append(r.failed, &RecoveryError{PipelineExecutionID: id, Attempts: x.Attempts + 1, Err: err})
	return r.engine.leases.Failed(ctx, id, tasks.SanitizeText(err.Error(), tasks.MaxError),
		min(r.hold<<(x.Attempts+1), longestRecoveryWait))
}

// abandon abandons an execution after its recovery has failed too often.
func (r *recovery) abandon(ctx context.Context, x leases.Recovery) error {
	why := string(x.Error)
	if why == "" {
		why = "the recovering process ended"
	}
	failure := &RecoveryError{PipelineExecutionID: x.PipelineExecutionID, Attempts: x.Attempts, Err: errors.New(why)}
	r.failed = append(r.failed, failure)
	err := r.engine.abandon(ctx, x.PipelineExecutionID,
		tasks.SanitizeText(fmt.Sprintf("its recovery failed %d times: %s", x.Attempts, why), tasks.MaxError))
	if err == nil {
		failure.Abandoned = true
		return nil
	}
	if ctx.Err() != nil || db.IsUnhealthy(err) {
		return err
	}
	failure.Err = errors.Join(failure.Err, fmt.Errorf("abandon it: %w", err))
	return r.engine.leases.Failed(ctx, x.PipelineExecutionID, why, longestRecoveryWait)
}

// recoverIn recovers the tasks of lost workers in the given executions, in one transaction.
func (e *Engine) recoverIn(ctx context.Context, ids []dbtype.ID, lost map[string]bool) (recovered int, err error) {
	ready := 0
	err = e.db.Write(ctx, func(b *db.Batch) (err error) {
		recovered, ready, err = e.recover(ctx, b, ids, lost)
		e.leases.Recovered(b, ids)
		return err
	})
	if err != nil {
		return 0, err
	}
	if recovered > 0 {
		e.notifier.committed(ctx, ready > 0)
	}
	return recovered, nil
}

// RunningTasks returns the tasks that worker runs, without their outputs: those of one execution, or of all if
// execution is zero.
func (e *Engine) RunningTasks(ctx context.Context, worker string, execution dbtype.ID) ([]tasks.Task, error) {
	return e.tasks.Held(ctx, worker, execution)
}

// recover recovers the tasks that lost workers run in the given executions. It returns the number of recovered tasks,
// and of tasks that became Ready.
func (e *Engine) recover(
	ctx context.Context, b *db.Batch, ids []dbtype.ID, gone map[string]bool,
) (recovered, ready int, err error) {
	tx := b.Tx()
	tx.Notify(TopicEnded)
	locked, err := e.pipelines.lock(tx, ids)
	if err != nil {
		return 0, 0, err
	}
	var plans []*pipelines.Plan
	for _, id := range ids {
		x, exists := locked[id]
		if !exists || x.Status.Terminal() {
			continue // ended before it was locked
		}
		p, err := e.fullPlan(ctx, tx, x)
		if err != nil {
			return 0, 0, fmt.Errorf("pipeline execution %s: %w", id, err)
		}
		recovered += p.RecoverTasks(gone)
		if _, err := e.advance(tx, p); err != nil {
			return 0, 0, fmt.Errorf("pipeline execution %s: %w", id, err)
		}
		plans = append(plans, p)
	}
	ready, err = e.write(b, plans, nil)
	return recovered, ready, err
}
