package pipelines

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/sluiceworks/sluice/modules/outbox"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db"
)

// due takes tasks from the outbox.
func (t *turn) due() ([]outbox.Row, error) {
	if t.taking == nil {
		if !t.Look {
			return nil, nil
		}
		want := t.ask()
		if want.Limit <= 0 {
			return nil, nil
		}
		var err error
		if t.taking, err = t.engine.outbox.TakeLater(t.tx, want); err == nil {
			err = t.tx.Flush()
		}
		if err != nil {
			return nil, err
		}
	}
	return t.taking.Rows(), nil
}

// ask works out what the outbox is asked for: the claims so far have taken slots, and room of handlers with limits.
func (t *turn) ask() outbox.Want {
	want := outbox.Less(t.Want, t.claims, func(c Claim) string { return c.Task.Handler })
	if len(t.LookFor) > 0 {
		want.Handlers = t.LookFor
	}
	room := 0
	for _, name := range want.Handlers {
		n, limited := want.Rooms[name]
		if !limited {
			room = want.Limit
			break
		}
		room += n
	}
	want.Limit = min(want.Limit, room)
	t.asked = want
	return want
}

// claimDue takes what is due from the outbox, for the slots that are left.
func (t *turn) claimDue(ctx context.Context) error {
	rows, err := t.due()
	if err != nil || len(rows) == 0 {
		return err
	}
	ids := make([]db.ID, len(rows))
	for i := range rows {
		ids[i] = rows[i].TaskExecutionID
	}
	var list []tasks.Task
	found := map[db.ID]Execution{}
	unknown := ids
	if t.trust {
		unknown = t.engine.fresh.take(ids, func(r freshRow) {
			list, found[r.execution.ID] = append(list, r.task), r.execution
		})
	}
	if err := t.engine.tasks.LoadLater(t.tx, unknown, &list); err != nil {
		return err
	}
	if err := t.engine.pipelines.ofTasksLater(t.tx, unknown, found); err != nil {
		return err
	}
	if err := t.tx.Flush(); err != nil {
		return err
	}
	byID := make(map[db.ID]tasks.Task, len(list))
	for _, task := range list {
		byID[task.ID] = task
	}
	for i, id := range ids {
		task, ok := byID[id]
		if !ok || task.Status != tasks.Ready {
			continue // a stray row, made by another hand: taking it has removed it
		}
		if err := t.claim(ctx, task, found[task.PipelineExecutionID], rows[i].AvailableAt); err != nil {
			return err
		}
	}
	t.taken = len(t.moves)
	return nil
}

// claim claims a task whose outbox row has been taken.
func (t *turn) claim(ctx context.Context, task tasks.Task, x Execution, due db.Time) error {
	def, err := t.engine.definitions.find(ctx, t.tx, x.PipelineName, x.DefinitionVersion)
	if isGone(err) {
		t.gone[task.PipelineExecutionID] = err
		return nil
	}
	if err != nil {
		return err
	}
	definition, ok := def.Task(task.TaskName)
	if !ok {
		t.gone[task.PipelineExecutionID] = fmt.Errorf("%w: it has no task %q", ErrDefinitionGone, task.TaskName)
		return nil
	}
	m := task.Claim(t.Worker, t.LeaseExpiresAt, t.tx.Now).MarkStarted()
	t.moves = append(t.moves, m)
	t.claims = append(t.claims, Claim{
		Task: m.Task, Pipeline: x.PipelineName, RunAttempt: x.Attempt, Resumed: task.SubStatus == tasks.Deferred, Definition: definition,
		Input: json.RawMessage(x.Input), Waited: t.tx.Now.Sub(due.Time), def: def,
	})
	return nil
}
