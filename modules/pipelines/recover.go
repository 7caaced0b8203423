package pipelines

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sluiceworks/sluice/modules/leases"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db"
)

// MaxRecoveries is how often a task may be taken from a worker that died with it.
const MaxRecoveries = 3

// MaxRecoveryAttempts is how often the recovery of one execution is tried before the execution is abandoned.
const MaxRecoveryAttempts = 3

const (
	// recoveryBatch is how many executions are recovered in one transaction, as long as none of them fails.
	recoveryBatch = 50
	// recoveryHold is for how long others leave an execution alone whose recovery has been begun, by callers that name
	// no time.
	recoveryHold = 15 * time.Second
	// longestRecoveryWait bounds the wait before a recovery that has failed is tried again.
	longestRecoveryWait = time.Hour
)

// Recover takes tasks back from workers whose lease has expired, removes those workers, and returns the number of
// tasks. Executions are recovered independently of each other: those that fail are in the error, a RecoveryErrors, and
// are tried again later, alone; after MaxRecoveryAttempts such an execution is abandoned, all its tasks with it. Tries
// that fail for the state of the database do not count.
func (e *Engine) Recover(ctx context.Context) (int, error) {
	found, err := e.leases.Due(ctx)
	if err != nil || !found {
		return 0, err
	}
	return e.RecoverLost(ctx, "", recoveryHold)
}

// RecoverLost is Recover that also looks for tasks whose worker has no row. It is called by a worker, whose own lease
// it leaves alone, or by nobody's, the empty text. Others leave an execution for the length of hold to whoever has
// begun with it.
func (e *Engine) RecoverLost(ctx context.Context, worker string, hold time.Duration) (recovered int, err error) {
	if found, err := e.leases.Due(ctx); err != nil {
		return 0, err
	} else if !found {
		if found, err = e.tasks.AnyWorkerLost(ctx); err != nil || !found {
			return 0, err
		}
	}
	r := &recovery{engine: e, worker: worker, hold: hold}
	taken, err := r.take(ctx)
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

// recovery is one pass over executions that have lost workers.
type recovery struct {
	engine    *Engine
	worker    string // who recovers
	hold      time.Duration
	lost      map[string]bool // workers without a row, which none of them gets again
	recovered int
	failed    RecoveryErrors
}

// take removes the workers whose lease has expired and enters the executions in which tasks run without a worker, in
// one transaction: from then on a worker cannot go on, and its tasks are not forgotten whoever dies. It returns those
// that nobody else is at.
func (r *recovery) take(ctx context.Context) (taken []leases.Recovery, err error) {
	e := r.engine
	published := int64(0) // outbox rows that only a worker that is gone looked at
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
		var executions []db.ID
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

// run recovers executions in batches, and one by one those of a batch that fails and those that somebody has begun with
// before: that one's process may have ended of it. Those that failed least come first, so that what ends this process
// too comes last.
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
		err := r.together(ctx, batch)
		switch {
		case err == nil:
		case ctx.Err() != nil || db.Away(err):
			return r.withdraw(ctx, batch, err)
		default:
			alone = append(alone, batch...)
		}
	}
	slices.SortStableFunc(alone, func(a, b leases.Recovery) int { return a.Attempts - b.Attempts })
	for _, x := range alone {
		if err := r.single(ctx, x); err != nil {
			return err
		}
	}
	return nil
}

func (r *recovery) together(ctx context.Context, batch []leases.Recovery) error {
	ids := make([]db.ID, len(batch))
	for i := range batch {
		ids[i] = batch[i].PipelineExecutionID
	}
	n, err := r.engine.recoverIn(ctx, ids, r.lost)
	r.recovered += n
	return err
}

// withdraw has executions tried again at once, when the database is well.
func (r *recovery) withdraw(ctx context.Context, list []leases.Recovery, cause error) error {
	for _, x := range list {
		if err := r.engine.leases.Failed(ctx, x.PipelineExecutionID, cause.Error(), 0); err != nil {
			break // the database is unwell: the hold ends by itself
		}
	}
	return cause
}

// single recovers one execution. Only an error that stands in the way of all others is returned.
func (r *recovery) single(ctx context.Context, x leases.Recovery) error {
	id := x.PipelineExecutionID
	if x.Attempts >= MaxRecoveryAttempts {
		return r.giveUp(ctx, x)
	}
	if err := r.engine.leases.Attempt(ctx, id, r.hold); err != nil {
		return err
	}
	n, err := r.engine.recoverIn(ctx, []db.ID{id}, r.lost)
	r.recovered += n
	switch {
	case err == nil:
		return nil
	case isDefinitionMissing(err):
		return r.engine.abandon(ctx, id, err.Error())
	case ctx.Err() != nil, db.Away(err):
		return errors.Join(err, r.engine.leases.UndoAttempt(ctx, id))
	case db.IsUnhealthy(err): // about this execution at most: it is locked, or takes too long
		r.failed = append(r.failed, &RecoveryError{PipelineExecutionID: id, Attempts: x.Attempts, Err: err})
		return r.engine.leases.UndoAttempt(ctx, id)
	}
	r.failed = append(r.failed, &RecoveryError{PipelineExecutionID: id, Attempts: x.Attempts + 1, Err: err})
	return r.engine.leases.Failed(ctx, id, tasks.SanitizeText(err.Error(), tasks.MaxError), min(r.hold<<(x.Attempts+1), longestRecoveryWait))
}

// stopOnTenantGone abandons an execution whose recovery failed too often.
func (r *recovery) giveUp(ctx context.Context, x leases.Recovery) error {
	why := string(x.Error)
	if why == "" {
		why = "the process that tried ended"
	}
	failure := &RecoveryError{PipelineExecutionID: x.PipelineExecutionID, Attempts: x.Attempts, Err: errors.New(why)}
	r.failed = append(r.failed, failure)
	err := r.engine.abandon(ctx, x.PipelineExecutionID, tasks.SanitizeText(fmt.Sprintf("its recovery failed %d times: %s", x.Attempts, why), tasks.MaxError))
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

// recoverIn takes the tasks of lost workers back in one transaction of some executions.
func (e *Engine) recoverIn(ctx context.Context, ids []db.ID, lost map[string]bool) (recovered int, err error) {
	ready := 0
	err = e.db.Transaction(ctx, func(tx db.Tx) (err error) {
		if recovered, ready, err = e.recover(ctx, tx, ids, lost); err != nil {
			return err
		}
		return e.leases.Recovered(tx, ids)
	})
	if err != nil {
		return 0, err
	}
	if recovered > 0 {
		e.notifier.committed(ctx, ready > 0)
	}
	return recovered, nil
}

// RunningTasks reads the tasks that run in a worker's name, without their outputs, of one execution or, if that is
// zero, of all.
func (e *Engine) RunningTasks(ctx context.Context, worker string, execution db.ID) ([]tasks.Task, error) {
	return e.tasks.Held(ctx, worker, execution)
}

// recoverOrAbandon is what becomes of a task whose worker is gone: it is given up once it has lost too many, for it may
// be what kills them.
func recoverOrAbandon(t tasks.Task, now db.Time) *tasks.Change {
	if t.Recoveries >= MaxRecoveries {
		return tasks.NewChange(t).Abandon(fmt.Sprintf("lost with its worker %d times", t.Recoveries+1), now)
	}
	return t.Recover(now)
}

// recover takes the tasks of executions from the workers that are gone.
func (e *Engine) recover(ctx context.Context, tx db.Tx, ids []db.ID, gone map[string]bool) (recovered, ready int, err error) {
	tx.Notify(TopicEnded)
	locked, err := e.pipelines.lock(tx, ids)
	if err != nil {
		return 0, 0, err
	}
	var plans []*plan
	for _, id := range ids {
		x, exists := locked[id]
		if !exists || x.Status.Terminal() {
			continue // ended between being found and being locked
		}
		p, err := e.fullPlan(ctx, tx, x)
		if err != nil {
			return 0, 0, fmt.Errorf("pipeline execution %s: %w", id, err)
		}
		for i := range p.def.Tasks {
			n, ok := p.nodes[p.def.Tasks[i].ID]
			if ok && n.task.Status == tasks.Running && gone[string(n.task.WorkerID)] {
				p.record(n, recoverOrAbandon(n.task, tx.Now))
				recovered++
			}
		}
		if err := p.notifyDependents(); err != nil {
			return 0, 0, fmt.Errorf("pipeline execution %s: %w", id, err)
		}
		plans = append(plans, p)
	}
	ready, err = e.write(tx, plans)
	return recovered, ready, err
}
