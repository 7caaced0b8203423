package inspect

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/sluiceworks/sluice/modules/leases"
	"github.com/sluiceworks/sluice/modules/outbox"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// WorkerView is a worker process with its tasks. A worker that has no row any more, but whose tasks have not been
// recovered, has only an id.
type WorkerView struct {
	leases.Worker
	Alive     bool       `json:"alive"`         // its lease has not expired
	Draining  bool       `json:"draining"`      // it finishes its tasks and claims no more
	LeaseMS   int64      `json:"lease_left_ms"` // negative: expired
	SlotsUsed int        `json:"slots_used"`
	Tasks     []HeldTask `json:"tasks"` // longest running first
}

// HeldTask is a task that a worker holds.
type HeldTask struct {
	TaskName            string      `json:"id"`
	TaskExecutionID     dbtype.ID   `json:"task_execution_id"`
	PipelineExecutionID dbtype.ID   `json:"pipeline_execution_id"`
	PipelineName        string      `json:"pipeline"`
	Attempt             int         `json:"attempt"`
	StartedAt           dbtype.Time `json:"started_at"`
}

// WorkerViews returns the workers with their tasks. It reads the names of the pipelines.
func (ws Workers) WorkerViews(ctx context.Context, r *engine.Repository) ([]WorkerView, error) {
	executions := map[dbtype.ID]bool{}
	for _, list := range ws.running {
		for _, t := range list {
			executions[t.PipelineExecutionID] = true
		}
	}
	runs, err := r.Find(ctx, slices.Collect(maps.Keys(executions)))
	if err != nil {
		return nil, err
	}
	views := []WorkerView{}
	for _, w := range ws.all() {
		v := WorkerView{
			Worker: w, Alive: ws.alive(w), Draining: w.Draining(), LeaseMS: w.LeaseExpiresAt.Sub(ws.Now).Milliseconds(),
			SlotsUsed: len(ws.running[w.ID]), Tasks: []HeldTask{},
		}
		if w.LeaseExpiresAt.IsZero() {
			v.LeaseMS, v.Draining = 0, false
		}
		for _, t := range ws.running[w.ID] {
			v.Tasks = append(v.Tasks, HeldTask{
				TaskName: t.TaskName, TaskExecutionID: t.ID, PipelineExecutionID: t.PipelineExecutionID,
				PipelineName: runs[t.PipelineExecutionID].PipelineName, Attempt: t.Attempt, StartedAt: t.StartedAt,
			})
		}
		views = append(views, v)
	}
	return views, nil
}

// DuePending says why a row of the outbox has not been claimed, given its task and execution, which are zero if there
// are none. It does not include a handler's reason for a deferral, which is in the history.
func (ws Workers) DuePending(row outbox.Entry, t tasks.Task, x pipelines.Execution) string {
	if t.Status != tasks.Ready || x.Status != pipelines.Running {
		return "stray: it stands for no work; `sluice verify` says more, --remove-orphans removes it"
	}
	why := ws.Due(row.AvailableAt, row.Handler, row.Queue)
	switch {
	case t.SubStatus == tasks.Deferred:
		return "deferred until " + Moment(row.AvailableAt) + " (" + why + ")"
	case t.Error != "":
		return fmt.Sprintf("attempt %d after an error, %s: %s", t.Attempt+1, why, ErrorLine(string(t.Error), 60))
	}
	return why
}
