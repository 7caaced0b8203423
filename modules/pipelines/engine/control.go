package engine

import (
	"context"
	"slices"

	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// ControlRequest is an operator's request for one execution, with its reason and the operator's name.
type ControlRequest struct {
	ID     dbtype.ID
	Reason string
	Actor  string
}

// control runs do with the locked execution, in one transaction. It returns ErrExecutionNotFound if there is none.
func (e *Engine) control(
	ctx context.Context, id dbtype.ID, do func(b *db.Batch, x pipelines.Execution) (ready int, err error),
) error {
	ready := 0
	err := e.db.Write(ctx, func(b *db.Batch) error {
		x, err := e.lockExecution(b.Tx(), id)
		if err != nil {
			return err
		}
		ready, err = do(b, x)
		return err
	})
	if err == nil {
		e.notifier.committed(ctx, ready > 0)
	}
	return err
}

func ids(list []tasks.Task) []dbtype.ID {
	out := make([]dbtype.ID, len(list))
	for i, t := range list {
		out[i] = t.ID
	}
	return out
}

// CancelledCleanups returns the names of the cancelled clean-up tasks of an execution, in the order of declaration. A
// clean-up task is one with trigger rule all_done or always. The result is empty if the definition is missing.
func (e *Engine) CancelledCleanups(ctx context.Context, id dbtype.ID) (names []string, err error) {
	err = e.db.Transaction(ctx, func(tx db.Tx) error {
		names = nil
		x, err := e.lockExecution(tx, id)
		if err != nil {
			return err
		}
		def, err := e.definitions.find(ctx, tx, x.PipelineName, x.DefinitionVersion)
		if isDefinitionMissing(err) {
			return nil
		}
		if err != nil {
			return err
		}
		list, err := e.tasks.LoadByExecution(tx, []dbtype.ID{id})
		for i := range def.Tasks {
			t := &def.Tasks[i]
			cancelled := slices.ContainsFunc(list,
				func(x tasks.Task) bool { return x.TaskName == t.ID && x.Status == tasks.Cancelled })
			if cancelled && (t.TriggerRule == definition.AllDone || t.TriggerRule == definition.Always) {
				names = append(names, t.ID)
			}
		}
		return err
	})
	return names, err
}

// abandon ends an execution that cannot be run. It does nothing if the execution has ended.
func (e *Engine) abandon(ctx context.Context, id dbtype.ID, reason string) error {
	return e.control(ctx, id, func(b *db.Batch, x pipelines.Execution) (int, error) {
		e.leases.Recovered(b, []dbtype.ID{id})
		if x.Status.Terminal() {
			return 0, nil
		}
		return 0, e.abandonIn(b, x, reason)
	})
}

// abandonIn ends a locked execution that is open: it abandons the open tasks, and the execution becomes Failed.
func (e *Engine) abandonIn(b *db.Batch, x pipelines.Execution, reason string) error {
	tx := b.Tx()
	err := e.endAll(b, []*pipelines.Execution{&x}, "", func(t tasks.Task) *tasks.Change {
		m := tasks.NewChange(t).Abandon(reason, tx.Now)
		m.Task.RemainingDependencies = 0 // the dependencies end in the same transaction
		return m
	})
	if err == nil {
		err = b.Send() // the tasks are counted as they are now
	}
	if err != nil {
		return err
	}
	list, err := e.tasks.LoadByExecution(tx, []dbtype.ID{x.ID})
	if err != nil {
		return err
	}
	counts := map[tasks.Status]int{}
	for _, t := range list {
		counts[t.Status]++
	}
	return e.pipelines.apply(b, []*pipelines.Change{x.End(counts, reason, tx.Now)})
}

// endAll ends all open tasks of executions with the changes that how returns, and updates the counters.
func (e *Engine) endAll(
	b *db.Batch, executions []*pipelines.Execution, actor string, how func(tasks.Task) *tasks.Change,
) error {
	tx := b.Tx()
	tx.Notify(TopicEnded)
	of := make([]dbtype.ID, len(executions))
	for i, x := range executions {
		of[i] = x.ID
	}
	ready, err := e.readyTasks(tx, of)
	if err != nil {
		return err
	}
	// Delete from the outbox first, because the deletion waits for concurrent claims. The tasks are then read as those
	// claims left them.
	e.outbox.DeleteByTask(b, ids(ready))
	if err := b.Send(); err != nil {
		return err
	}
	list, err := e.tasks.LoadByExecution(tx, of)
	if err != nil {
		return err
	}
	var moves []*tasks.Change
	var counters []tasks.DependencyCount
	for _, t := range list {
		if !t.Status.Terminal() {
			m := how(t)
			m.Actor = actor
			moves = append(moves, m)
		} else if t.RemainingDependencies > 0 {
			counters = append(counters, tasks.DependencyCount{ID: t.ID, Ended: t.RemainingDependencies})
		}
	}
	for _, x := range executions {
		x.UnsuccessfulTasks += x.OpenTasks
		x.OpenTasks = 0
	}
	if err := e.tasks.Apply(b, moves); err != nil {
		return err
	}
	e.tasks.CountDependencies(b, sortCounters(counters))
	return nil
}
