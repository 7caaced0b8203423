package pipelines

import (
	"context"
	"fmt"

	"github.com/sluiceworks/sluice/modules/outbox"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db"
)

// Order is an operator's word: to which execution, why, and who gave it.
type Order struct {
	ID     db.ID
	Reason string
	Actor  string
}

// control runs one operator's use case over a locked execution.
func (e *Engine) control(ctx context.Context, id db.ID, do func(tx db.Tx, x Execution) (ready int, err error)) error {
	ready := 0
	err := e.db.Transaction(ctx, func(tx db.Tx) error {
		x, err := e.locked(tx, id)
		if err != nil {
			return err
		}
		ready, err = do(tx, x)
		return err
	})
	if err == nil {
		e.waker.committed(ctx, ready > 0)
	}
	return err
}

// Pause stops an execution from starting tasks: once Pause has returned, none starts. Running tasks finish; what they release
// becomes Ready and waits.
func (e *Engine) Pause(ctx context.Context, o Order) error {
	return e.control(ctx, o.ID, func(tx db.Tx, x Execution) (int, error) {
		m := pause(x, o.Reason, tx.Now)
		m.actor = o.Actor
		if m.failure != nil {
			return 0, m.failure
		}
		ready, err := e.readyTasks(tx, x.ID)
		if err != nil {
			return 0, err
		}
		if err := e.outbox.DeleteByTask(tx, ids(ready)); err != nil {
			return 0, err
		}
		return 0, e.pipelines.apply(tx, []*move{m})
	})
}

// Resume lets a paused execution go on.
func (e *Engine) Resume(ctx context.Context, o Order) error {
	return e.control(ctx, o.ID, func(tx db.Tx, x Execution) (int, error) {
		m := resume(x)
		m.actor = o.Actor
		if m.failure != nil {
			return 0, m.failure
		}
		ready, err := e.readyTasks(tx, x.ID)
		if err != nil {
			return 0, err
		}
		rows := make([]outbox.Row, len(ready))
		for i, t := range ready {
			at := tx.Now
			if t.RetryAt.After(at.Time) {
				at = t.RetryAt
			}
			rows[i] = t.Queued(at)
		}
		if len(rows) > 0 {
			tx.Notify(TopicReady)
		}
		if err := e.outbox.Create(tx, rows); err != nil {
			return 0, err
		}
		return len(rows), e.pipelines.apply(tx, []*move{m})
	})
}

func (e *Engine) readyTasks(tx db.Tx, id db.ID) ([]tasks.Task, error) {
	list, err := e.tasks.LoadPipelines(tx, []db.ID{id})
	var ready []tasks.Task
	for _, t := range list {
		if t.Status == tasks.Ready {
			ready = append(ready, t)
		}
	}
	return ready, err
}

func ids(list []tasks.Task) []db.ID {
	out := make([]db.ID, len(list))
	for i, t := range list {
		out[i] = t.ID
	}
	return out
}

// Cancel ends an execution and all its tasks. Handlers that run have their context cancelled; what they return is fenced off.
func (e *Engine) Cancel(ctx context.Context, o Order) error {
	return e.control(ctx, o.ID, func(tx db.Tx, x Execution) (int, error) {
		m := cancel(x, o.Reason, tx.Now)
		m.actor = o.Actor
		if m.failure != nil {
			return 0, m.failure
		}
		err := e.endAll(tx, &m.execution, o.Actor, func(t tasks.Task) *tasks.Move { return t.Cancel(o.Reason, tx.Now) })
		if err != nil {
			return 0, err
		}
		return 0, e.pipelines.apply(tx, []*move{m})
	})
}

// abandon ends an execution that can't be run any more.
func (e *Engine) abandon(ctx context.Context, id db.ID, reason string) error {
	return e.control(ctx, id, func(tx db.Tx, x Execution) (int, error) {
		if x.Status.Terminal() {
			return 0, nil
		}
		counts := map[tasks.Status]int{}
		err := e.endAll(tx, &x, "", func(t tasks.Task) *tasks.Move {
			m := tasks.Begin(t).Abandon(reason, tx.Now)
			m.Task.RemainingDependencies = 0 // they end in the same transaction
			return m
		})
		if err != nil {
			return 0, err
		}
		list, err := e.tasks.LoadPipelines(tx, []db.ID{id})
		for _, t := range list {
			counts[t.Status]++
		}
		if err != nil {
			return 0, err
		}
		return 0, e.pipelines.apply(tx, []*move{end(x, counts, reason, tx.Now)})
	})
}

// endAll ends every open task of an execution, and counts.
func (e *Engine) endAll(tx db.Tx, x *Execution, actor string, how func(tasks.Task) *tasks.Move) error {
	tx.Notify(TopicEnded)
	ready, err := e.readyTasks(tx, x.ID)
	if err != nil {
		return err
	}
	// The outbox first: it waits for claims that are under way, and the tasks are read as those leave them.
	if err := e.outbox.DeleteByTask(tx, ids(ready)); err != nil {
		return err
	}
	list, err := e.tasks.LoadPipelines(tx, []db.ID{x.ID})
	if err != nil {
		return err
	}
	var moves []*tasks.Move
	var counters []tasks.Counter
	for _, t := range list {
		if !t.Status.Terminal() {
			m := how(t)
			m.Actor = actor
			moves = append(moves, m)
		} else if t.RemainingDependencies > 0 {
			counters = append(counters, tasks.Counter{ID: t.ID, Remaining: 0})
		}
	}
	x.UnsuccessfulTasks += x.OpenTasks
	x.OpenTasks = 0
	if err := e.tasks.Apply(tx, moves); err != nil {
		return err
	}
	return e.tasks.SetRemaining(tx, sortCounters(counters))
}

// Retry runs a failed or cancelled execution again: all that did not complete, or, given from, that task, what follows from it, and
// what was cancelled. Completed tasks keep their outputs and are not run again.
func (e *Engine) Retry(ctx context.Context, o Order, from string) error {
	return e.control(ctx, o.ID, func(tx db.Tx, x Execution) (int, error) {
		if x.EventsRemoved > 0 {
			return 0, fmt.Errorf("%w: the history of %s has been removed: start a new run", ErrState, x.ID)
		}
		if !x.OutputsRemovedAt.IsZero() {
			return 0, fmt.Errorf("%w: retention has removed the outputs of %s, which the tasks to come may need: start a new run", ErrState, x.ID)
		}
		if !Restart.allows(x.Status) {
			return 0, restart(x, nil, "").failure
		}
		p, err := e.whole(ctx, tx, x)
		if err != nil {
			return 0, err
		}
		p.actor = o.Actor
		p.execution.Status = Running
		names, err := p.reopen(from)
		if err != nil {
			return 0, err
		}
		m := restart(x, names, from)
		m.actor = o.Actor
		m.execution.OpenTasks, m.execution.UnsuccessfulTasks = p.execution.OpenTasks, p.execution.UnsuccessfulTasks
		if err := e.pipelines.apply(tx, []*move{m}); err != nil {
			return 0, err
		}
		m.execution.Input = p.execution.Input
		p.execution = m.execution
		_, ready, err := e.write(tx, []*plan{p})
		return ready, err
	})
}
