package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/sluiceworks/sluice/modules/outbox"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/modules/tasks/taskstore"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// Orders is an operator's request for several executions, with its reason and the operator's name. The ids must be
// distinct.
type Orders struct {
	IDs    []dbtype.ID
	Reason string
	Actor  string
	// of a retry: the worker that alone may claim the tasks while it has a row; empty: any worker may
	ReservedFor string
}

// Limits of one transaction over several executions. Larger transactions are not faster, and others wait longer for
// them.
const (
	runsPerOrder  = 500
	tasksPerOrder = 4000
	retriesAtOnce = 100 // each retry is planned over its full graph
)

// set processes the first of several executions in one transaction: as many as the limits allow, at least one. begin
// returns the change of one execution, and then writes all changes.
//
// The first result has one entry for each processed execution, in order: nil, or ErrInvalidState, ErrExecutionNotFound
// or tasks.ErrNotFound if the request was not possible. Such an error does not affect the other executions. If the
// second result is not nil, nothing was changed.
func (e *Engine) set(
	ctx context.Context, o Orders, most int, begin func(db.Tx, pipelines.Execution) (*pipelines.Change, error),
	then func(*db.Batch, []*pipelines.Change) (ready int, err error),
) ([]error, error) {
	var results []error
	ready := 0
	err := e.db.Write(ctx, func(b *db.Batch) error {
		tx := b.Tx()
		results = nil
		if err := e.checkReserved(tx, o.ReservedFor); err != nil {
			return err
		}
		ids := o.IDs[:min(most, len(o.IDs))]
		found, err := e.pipelines.lock(tx, ids)
		if err != nil {
			return err
		}
		var moves []*pipelines.Change
		size := 0
		for _, id := range ids {
			x, ok := found[id]
			if size += x.OpenTasks; len(results) > 0 && size > tasksPerOrder {
				break
			}
			if !ok {
				results = append(results, fmt.Errorf("%w: %s", pipelines.ErrExecutionNotFound, id))
				continue
			}
			m, err := begin(tx, x)
			if err != nil && !refused(err) {
				return err
			}
			if err == nil {
				m.Actor, err = o.Actor, m.Err()
			}
			if results = append(results, err); err == nil {
				moves = append(moves, m)
			}
		}
		if len(moves) == 0 {
			return nil
		}
		ready, err = then(b, moves)
		return err
	})
	if err != nil {
		return nil, err
	}
	e.notifier.committed(ctx, ready > 0)
	return results, nil
}

// refused reports whether an error affects only one execution of the set.
func refused(err error) bool {
	return errors.Is(err, pipelines.ErrInvalidState) || errors.Is(err, tasks.ErrNotFound)
}

// one returns the result of a set of one execution.
func one(results []error, err error) error {
	if err != nil {
		return err
	}
	return results[0]
}

// of returns the request as one for a set of one execution.
func (o ControlRequest) of() Orders {
	return Orders{IDs: []dbtype.ID{o.ID}, Reason: o.Reason, Actor: o.Actor}
}

// Pause pauses an execution: no task starts after Pause has returned. Running tasks finish. Their successors become
// Ready but get no outbox row until Resume.
func (e *Engine) Pause(ctx context.Context, o ControlRequest) error {
	return one(e.PauseAll(ctx, o.of()))
}

// PauseAll is Pause for the first of several executions. Its results are those of set.
func (e *Engine) PauseAll(ctx context.Context, o Orders) ([]error, error) {
	return e.set(ctx, o, runsPerOrder, func(tx db.Tx, x pipelines.Execution) (*pipelines.Change, error) {
		return x.Pause(o.Reason, tx.Now), nil
	},
		func(b *db.Batch, moves []*pipelines.Change) (int, error) {
			ready, err := e.readyTasks(b.Tx(), executionsOf(moves))
			if err != nil {
				return 0, err
			}
			e.outbox.DeleteByTask(b, ids(ready))
			return 0, e.pipelines.apply(b, moves)
		})
}

// Resume continues a paused execution.
func (e *Engine) Resume(ctx context.Context, o ControlRequest) error {
	return one(e.ResumeAll(ctx, o.of()))
}

// ResumeAll is Resume for the first of several executions. Its results are those of set.
func (e *Engine) ResumeAll(ctx context.Context, o Orders) ([]error, error) {
	return e.set(ctx, o, runsPerOrder,
		func(_ db.Tx, x pipelines.Execution) (*pipelines.Change, error) { return x.Resume(), nil },
		func(b *db.Batch, moves []*pipelines.Change) (int, error) {
			tx := b.Tx()
			ready, err := e.readyTasks(tx, executionsOf(moves))
			if err != nil {
				return 0, err
			}
			reserved := make(map[dbtype.ID]string, len(moves))
			for _, m := range moves {
				reserved[m.Execution.ID] = string(m.Execution.ReservedFor)
			}
			rows := make([]outbox.Entry, len(ready))
			for i, t := range ready {
				at := tx.Now
				if t.RetryAt.After(at.Time) {
					at = t.RetryAt
				}
				rows[i] = taskstore.OutboxEntry(&t, at)
				if w := reserved[t.PipelineExecutionID]; w != "" {
					rows[i].Queue = outbox.PrivateQueue(w)
				}
			}
			if len(rows) > 0 {
				tx.Notify(TopicReady)
				e.outbox.Enqueue(b, rows)
			}
			return len(rows), e.pipelines.apply(b, moves)
		})
}

// Cancel ends an execution and all its open tasks. The contexts of running handlers are cancelled, and their results
// are rejected by the fence.
func (e *Engine) Cancel(ctx context.Context, o ControlRequest) error {
	return one(e.CancelAll(ctx, o.of()))
}

// CancelAll is Cancel for the first of several executions. Its results are those of set.
func (e *Engine) CancelAll(ctx context.Context, o Orders) ([]error, error) {
	return e.set(ctx, o, runsPerOrder, func(tx db.Tx, x pipelines.Execution) (*pipelines.Change, error) {
		return x.Cancel(o.Reason, tx.Now), nil
	},
		func(b *db.Batch, moves []*pipelines.Change) (int, error) {
			executions := make([]*pipelines.Execution, len(moves))
			for i, m := range moves {
				executions[i] = &m.Execution
			}
			err := e.endAll(b, executions, o.Actor,
				func(t tasks.Task) *tasks.Change { return t.Cancel(o.Reason, b.Tx().Now) })
			if err != nil {
				return 0, err
			}
			return 0, e.pipelines.apply(b, moves)
		})
}

// Retry restarts an ended execution. It resets the tasks that are Failed, Abandoned or Cancelled, and all tasks that
// depend on them, even if completed. If from is not empty, it resets that task, whatever its status, and the Cancelled
// tasks, with all tasks that depend on them. Other completed tasks keep their outputs. A completed execution requires
// from.
//
// Retry returns ErrInvalidState if nothing can be reset, and tasks.ErrNotFound if the pipeline has no task from.
func (e *Engine) Retry(ctx context.Context, o ControlRequest, from string) error {
	return one(e.RetryAll(ctx, o.of(), from))
}

// RetryAll is Retry for the first of several executions. Its results are those of set.
func (e *Engine) RetryAll(ctx context.Context, o Orders, from string) ([]error, error) {
	plans := map[dbtype.ID]*pipelines.Plan{}
	return e.set(ctx, o, retriesAtOnce, func(tx db.Tx, x pipelines.Execution) (*pipelines.Change, error) {
		x.ReservedFor = dbtype.Text(o.ReservedFor)
		p, names, err := e.planRetry(ctx, tx, x, from, o.Actor)
		if err != nil {
			return nil, err
		}
		m := x.Restart(names, from)
		m.Execution.OpenTasks, m.Execution.UnsuccessfulTasks = p.Execution.OpenTasks, p.Execution.UnsuccessfulTasks
		m.Execution.DeadlineAt = pipelines.Deadline(p.Definition, tx.Now)
		plans[x.ID] = p
		return m, nil
	}, func(b *db.Batch, moves []*pipelines.Change) (int, error) {
		list := make([]*pipelines.Plan, len(moves))
		for i, m := range moves {
			p := plans[m.Execution.ID]
			input := p.Execution.Input
			p.Execution = m.Execution
			p.Execution.Input = input
			list[i] = p
		}
		if err := e.pipelines.apply(b, moves); err != nil {
			return 0, err
		}
		e.pipelines.reserve(b, executionsOf(moves), o.ReservedFor)
		return e.write(b, list, nil)
	})
}

func executionsOf(moves []*pipelines.Change) []dbtype.ID {
	list := make([]dbtype.ID, len(moves))
	for i, m := range moves {
		list[i] = m.Execution.ID
	}
	return list
}

func (e *Engine) readyTasks(tx db.Tx, executions []dbtype.ID) ([]tasks.Task, error) {
	list, err := e.tasks.LoadByExecution(tx, executions)
	var ready []tasks.Task
	for _, t := range list {
		if t.Status == tasks.Ready {
			ready = append(ready, t)
		}
	}
	return ready, err
}
