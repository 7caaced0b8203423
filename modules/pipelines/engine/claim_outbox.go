package engine

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/sluiceworks/sluice/modules/outbox"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// pollOutbox claims rows from the outbox, which deletes them.
func (t *exchange) pollOutbox() ([]outbox.Entry, error) {
	if t.pendingClaim == nil {
		if !t.PollOutbox {
			return nil, nil
		}
		want := t.remainingFilter()
		if want.Limit <= 0 {
			return nil, nil
		}
		b := t.tx.Batch()
		var err error
		if t.pendingClaim, err = t.engine.outbox.Claim(b, want); err == nil {
			err = b.Send()
		}
		if err != nil {
			return nil, err
		}
	}
	return t.pendingClaim.Rows(), nil
}

// remainingFilter returns the filter for the poll. The eager claims have used slots and capacity.
func (t *exchange) remainingFilter() outbox.ClaimFilter {
	want := outbox.Minus(t.Filter, t.claims, func(c pipelines.Claim) string { return c.Task.Handler })
	if len(t.PollHandlers) > 0 {
		want.Handlers = t.PollHandlers
	}
	free := 0
	for _, name := range want.Handlers {
		n, limited := want.Capacity[name]
		if !limited {
			free = want.Limit
			break
		}
		free += n
	}
	want.Limit = min(want.Limit, free)
	return want
}

// claimFromOutbox claims due tasks from the outbox for the remaining slots.
func (t *exchange) claimFromOutbox(ctx context.Context) error {
	rows, err := t.pollOutbox()
	if err != nil || len(rows) == 0 {
		return err
	}
	ids := make([]dbtype.ID, len(rows))
	for i := range rows {
		ids[i] = rows[i].TaskExecutionID
	}
	var cached []tasks.Task
	found := map[dbtype.ID]pipelines.Execution{}
	unknown := ids
	if t.optimistic {
		unknown = t.engine.startCache.pop(ids, func(r startedRow) {
			cached, found[r.execution.ID] = append(cached, r.task), r.execution
		})
	}
	b := t.tx.Batch()
	list := t.engine.tasks.Load(b, unknown)
	t.engine.pipelines.loadInputs(b, unknown, found)
	if err := b.Send(); err != nil {
		return err
	}
	byID := make(map[dbtype.ID]tasks.Task, len(ids))
	for _, task := range append(cached, *list...) {
		byID[task.ID] = task
	}
	for i, id := range ids {
		task, ok := byID[id]
		if !ok || task.Status != tasks.Ready {
			continue // an invalid row, not written by sluice; the poll has deleted it
		}
		if err := t.claim(ctx, task, found[task.PipelineExecutionID], rows[i].AvailableAt); err != nil {
			return err
		}
	}
	return nil
}

// claim claims a task after its outbox row has been deleted. If the definition is missing, it records that instead.
func (t *exchange) claim(ctx context.Context, task tasks.Task, x pipelines.Execution, due dbtype.Time) error {
	def, err := t.engine.definitions.find(ctx, t.tx, x.PipelineName, x.DefinitionVersion)
	if isDefinitionMissing(err) {
		t.missingDefinitions[task.PipelineExecutionID] = err
		return nil
	}
	if err != nil {
		return err
	}
	definition, ok := def.Task(task.TaskName)
	if !ok {
		t.missingDefinitions[task.PipelineExecutionID] = fmt.Errorf("%w: it has no task %q",
			pipelines.ErrDefinitionMissing, task.TaskName)
		return nil
	}
	m := task.Claim(t.Worker, t.LeaseExpiresAt, t.tx.Now).MarkStarted()
	t.claimChanges = append(t.claimChanges, m)
	t.claims = append(t.claims, pipelines.Claim{
		Task: m.Task, Pipeline: x.PipelineName, RunAttempt: x.Attempt, Resumed: task.SubStatus == tasks.Deferred,
		Definition: definition,
		Input:      json.RawMessage(x.Input), Waited: t.tx.Now.Sub(due.Time), Graph: def,
	})
	return nil
}
