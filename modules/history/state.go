package history

import (
	"fmt"

	"github.com/sluiceworks/sluice/modules/audit"
	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// State is an execution at a moment.
type State struct {
	Execution pipelines.Execution
	Tasks     []tasks.Task // in the order of creation
	Outbox    []Claimable  // in the order of tasks
}

// Claimable is a task's outbox row, as the history describes it.
type Claimable struct {
	TaskExecutionID dbtype.ID   `json:"task_execution_id"`
	TaskName        string      `json:"id"`
	Handler         string      `json:"uses"`
	Queue           string      `json:"queue"`
	AvailableAt     dbtype.Time `json:"available_at"` // no claim before this time
	CreatedAt       dbtype.Time `json:"created_at"`
}

// State returns the rows that result from the events. The input, the idempotency key and the outputs are not in the
// history, and so not in the state; see Complete. It returns ErrBroken for a broken history.
func (p *Past) State() (State, error) {
	if p.broken != nil {
		return State{}, p.broken
	}
	state := p.replay.Pipeline()
	if state.Status == "" {
		return State{}, fmt.Errorf("%w: it has no %s", ErrBroken, events.PipelineStarted)
	}
	pipeline := p.log.events[0].PipelineExecutionID
	s := State{Execution: execution(pipeline, state), Tasks: make([]tasks.Task, len(p.order)), Outbox: []Claimable{}}
	needs, open := make([][]string, len(p.order)), map[string]bool{}
	for i, l := range p.order {
		id, t := l.row.TaskExecutionID, &s.Tasks[i]
		*t, needs[i] = p.replay.Task(id)
		t.PipelineExecutionID = pipeline
		switch {
		case !t.Status.Terminal():
			s.Execution.OpenTasks++
			open[t.TaskName] = true
		case t.Status != tasks.Completed:
			s.Execution.UnsuccessfulTasks++
		}
		if created, available, ok := p.replay.Queued(id); ok {
			s.Outbox = append(s.Outbox, Claimable{id, t.TaskName, t.Handler, t.Queue, available, created})
		}
	}
	for i := range s.Tasks {
		for _, name := range needs[i] {
			if open[name] {
				s.Tasks[i].RemainingDependencies++
			}
		}
	}
	return s, nil
}

func execution(id dbtype.ID, p audit.PipelineState) pipelines.Execution {
	return pipelines.Execution{
		ID: id, PipelineName: p.PipelineName, DefinitionVersion: p.DefinitionVersion,
		Status: pipelines.Status(p.Status), Version: p.Version, Attempt: p.Attempt,
		Error: dbtype.Text(p.Error), CreatedAt: p.CreatedAt, CompletedAt: p.CompletedAt, PausedAt: p.PausedAt,
	}
}

// Complete adds from the current rows what the history does not hold: the input and the idempotency key of the
// execution, and the outputs of tasks that had completed. The output of a task that has run again since no longer
// exists.
func (s *State) Complete(x pipelines.Execution, rows []tasks.Task) {
	s.Execution.Input, s.Execution.IdempotencyKey = x.Input, x.IdempotencyKey
	today := make(map[dbtype.ID]*tasks.Task, len(rows))
	for i := range rows {
		today[rows[i].ID] = &rows[i]
	}
	for i := range s.Tasks {
		t := &s.Tasks[i]
		if row := today[t.ID]; t.Status == tasks.Completed && row != nil && row.Status == tasks.Completed &&
			row.Attempt == t.Attempt {
			t.Output = row.Output
		}
	}
}
