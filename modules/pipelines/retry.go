package pipelines

import (
	"context"
	"fmt"

	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db"
)

// RunsAgain is a task that a retry resets, with its status before the retry.
type RunsAgain struct {
	TaskName string       `json:"id"` // id of the task in the definition
	Status   tasks.Status `json:"status"`
}

// PreviewRetry returns the tasks that Retry would reset now, in the order of declaration. It changes nothing and
// returns the same errors as Retry.
func (e *Engine) PreviewRetry(ctx context.Context, id db.ID, from string) (list []RunsAgain, err error) {
	err = e.db.Transaction(ctx, func(tx db.Tx) error {
		list = []RunsAgain{}
		x, err := e.lockExecution(tx, id)
		if err != nil {
			return err
		}
		before, err := e.tasks.LoadByExecution(tx, []db.ID{id})
		if err != nil {
			return err
		}
		statuses := make(map[string]tasks.Status, len(before))
		for _, t := range before {
			statuses[t.TaskName] = t.Status
		}
		_, names, err := e.planRetry(ctx, tx, x, from, "")
		for _, name := range names {
			list = append(list, RunsAgain{name, statuses[name]})
		}
		return err
	})
	return list, err
}

// planRetry plans a retry over the full graph. It also returns the names of the tasks to reset.
func (e *Engine) planRetry(ctx context.Context, tx db.Tx, x Execution, from, actor string) (*plan, []string, error) {
	if err := retryable(x, from); err != nil {
		return nil, nil, err
	}
	p, err := e.fullPlan(ctx, tx, x)
	if err != nil {
		return nil, nil, err
	}
	p.actor = actor
	p.execution.Status = Running
	p.execution.Attempt++
	names, err := p.resetTasks(from)
	return p, names, err
}

// retryable returns the reason why an execution cannot be retried, an ErrInvalidState, or nil.
func retryable(x Execution, from string) error {
	switch {
	case x.EventsRemoved > 0:
		return fmt.Errorf("%w: the history of %s has been removed: start a new run", ErrInvalidState, x.ID)
	case !x.OutputsRemovedAt.IsZero():
		return fmt.Errorf("%w: retention has removed the outputs of %s, which the tasks to come may need: start a new run", ErrInvalidState, x.ID)
	case x.Status == Completed && from == "":
		return fmt.Errorf("%w: pipeline execution %s has completed: name the task to run again from", ErrInvalidState, x.ID)
	}
	return restart(x, nil, from).failure
}
