package engine

import (
	"context"
	"fmt"

	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// RunsAgain is a task that a retry resets, with its status before the retry.
type RunsAgain struct {
	TaskName string       `json:"id"` // id of the task in the definition
	Status   tasks.Status `json:"status"`
}

// PreviewRetry returns the tasks that Retry would reset now, in the order of declaration. It changes nothing and
// returns the same errors as Retry.
func (e *Engine) PreviewRetry(ctx context.Context, id dbtype.ID, from string) (list []RunsAgain, err error) {
	err = e.db.Transaction(ctx, func(tx db.Tx) error {
		list = []RunsAgain{}
		x, err := e.lockExecution(tx, id)
		if err != nil {
			return err
		}
		before, err := e.tasks.LoadByExecution(tx, []dbtype.ID{id})
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
func (e *Engine) planRetry(
	ctx context.Context, tx db.Tx, x pipelines.Execution, from, actor string,
) (*pipelines.Plan, []string, error) {
	if err := retryable(x, from); err != nil {
		return nil, nil, err
	}
	p, err := e.fullPlan(ctx, tx, x)
	if err != nil {
		return nil, nil, err
	}
	p.Actor = actor
	p.Execution.Status = pipelines.Running
	p.Execution.Attempt++
	names, err := p.Reset(from)
	if err == nil {
		_, err = e.advance(tx, p)
	}
	return p, names, err
}

// retryable returns the reason why an execution cannot be retried, an ErrInvalidState, or nil.
func retryable(x pipelines.Execution, from string) error {
	switch {
	case x.EventsRemoved > 0:
		return fmt.Errorf("%w: the history of %s has been removed: start a new run", pipelines.ErrInvalidState, x.ID)
	case !x.OutputsRemovedAt.IsZero():
		return fmt.Errorf("%w: retention has removed the outputs of %s, which the tasks to come may need: start "+
			"a new run", pipelines.ErrInvalidState, x.ID)
	case x.Status == pipelines.Completed && from == "":
		return fmt.Errorf("%w: pipeline execution %s has completed: name the task to run again from",
			pipelines.ErrInvalidState, x.ID)
	}
	return x.Restart(nil, from).Err()
}
