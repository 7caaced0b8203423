package pipelines

import (
	"encoding/json"
	"fmt"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db"
)

// change describes one transition of a pipeline execution: the data of its event and the resulting row.
type change struct {
	execution  Execution // the resulting row
	transition Transition
	data       any
	worker     string
	actor      string
	failure    error
}

// The data of each event (docs/events.md).
type (
	startedEvent struct {
		PipelineName      string `json:"pipeline"`
		DefinitionVersion string `json:"definition_version"`
		TaskCount         int    `json:"task_count"`
	}
	endedEvent struct {
		Counts     map[tasks.Status]int `json:"counts"`
		DurationMS int64                `json:"duration_ms"`
		Error      string               `json:"error,omitempty"`
	}
	reasonEvent struct {
		Reason string `json:"reason"`
	}
	restartedEvent struct {
		Tasks []string `json:"tasks"`
		From  string   `json:"from,omitempty"`
	}
)

// newChange returns the change that a transition makes to e, and increments the version. If the table does not allow
// the transition, the change has the failure ErrInvalidState, which apply returns.
func newChange(e Execution, t Transition, data any) *change {
	m := &change{execution: e, transition: t, data: data}
	if !t.allows(e.Status) {
		m.failure = fmt.Errorf("%w: cannot %s pipeline execution %s, which is %s", ErrInvalidState, t.verb(), e.ID, e.Status)
	}
	m.execution.Status = t.To
	if t.To.Terminal() {
		m.execution.ReservedFor, m.execution.DeadlineAt = "", db.Time{}
	}
	m.execution.Version++
	return m
}

func start(e Execution, taskCount int) *change {
	return newChange(e, Start, startedEvent{e.PipelineName, e.DefinitionVersion, taskCount})
}

// end returns the change that ends an execution without open tasks. failure is the error of the first failed task that
// the pipeline does not continue after; empty for success.
func end(e Execution, counts map[tasks.Status]int, failure string, now db.Time) *change {
	data := endedEvent{Counts: counts, DurationMS: now.Sub(e.CreatedAt.Time).Milliseconds(), Error: failure}
	t := Complete
	if failure != "" {
		t = Fail
	}
	m := newChange(e, t, data)
	m.execution.CompletedAt, m.execution.PausedAt, m.execution.Error = now, db.Time{}, db.Text(failure)
	return m
}

func pause(e Execution, reason string, now db.Time) *change {
	m := newChange(e, Pause, reasonEvent{reason})
	m.execution.PausedAt = now
	return m
}

func resume(e Execution) *change {
	m := newChange(e, Resume, struct{}{})
	m.execution.PausedAt = db.Time{}
	return m
}

func cancel(e Execution, reason string, now db.Time) *change {
	m := newChange(e, Cancel, reasonEvent{reason})
	m.execution.CompletedAt, m.execution.PausedAt = now, db.Time{}
	return m
}

func restart(e Execution, names []string, from string) *change {
	m := newChange(e, Restart, restartedEvent{names, from})
	m.execution.CompletedAt, m.execution.Error = db.Time{}, ""
	m.execution.Attempt++
	return m
}

// event returns the event of the change.
func (m *change) event() (events.Event, error) {
	data, err := json.Marshal(m.data)
	if err != nil {
		return events.Event{}, fmt.Errorf("encode the data of %s: %w", m.transition.Event, err)
	}
	return events.Event{
		PipelineExecutionID: m.execution.ID, EventType: m.transition.Event, Version: &m.execution.Version, EventData: data,
		WorkerID: db.Text(m.worker), Actor: db.Text(m.actor),
	}, nil
}
