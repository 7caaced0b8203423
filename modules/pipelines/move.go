package pipelines

import (
	"encoding/json"
	"fmt"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db"
)

// move is one transition of a pipeline execution with its event's data, and the row that it leads to.
type move struct {
	execution  Execution // the row as it will be
	transition Transition
	data       any
	worker     string
	actor      string
	failure    error
}

// The data of each event (docs/events.md).
type (
	startedData struct {
		PipelineName      string `json:"pipeline"`
		DefinitionVersion string `json:"definition_version"`
		TaskCount         int    `json:"task_count"`
	}
	endedData struct {
		Counts     map[tasks.Status]int `json:"counts"`
		DurationMS int64                `json:"duration_ms"`
		Error      string               `json:"error,omitempty"`
	}
	reasonData struct {
		Reason string `json:"reason"`
	}
	restartedData struct {
		Tasks []string `json:"tasks"`
		From  string   `json:"from,omitempty"`
	}
)

// step takes a transition: the table decides, and the version counts.
func step(e Execution, t Transition, data any) *move {
	m := &move{execution: e, transition: t, data: data}
	if !t.allows(e.Status) {
		m.failure = fmt.Errorf("%w: cannot %s pipeline execution %s, which is %s", ErrState, t.verb(), e.ID, e.Status)
	}
	m.execution.Status = t.To
	if t.To.Terminal() {
		m.execution.ReservedFor, m.execution.DeadlineAt = "", db.Time{}
	}
	m.execution.Version++
	return m
}

func start(e Execution, taskCount int) *move {
	return step(e, Start, startedData{e.PipelineName, e.DefinitionVersion, taskCount})
}

// end settles an execution whose last task has ended; failure is the first that nothing handled, or empty.
func end(e Execution, counts map[tasks.Status]int, failure string, now db.Time) *move {
	data := endedData{Counts: counts, DurationMS: now.Sub(e.CreatedAt.Time).Milliseconds(), Error: failure}
	t := Complete
	if failure != "" {
		t = Fail
	}
	m := step(e, t, data)
	m.execution.CompletedAt, m.execution.PausedAt, m.execution.Error = now, db.Time{}, db.Text(failure)
	return m
}

func pause(e Execution, reason string, now db.Time) *move {
	m := step(e, Pause, reasonData{reason})
	m.execution.PausedAt = now
	return m
}

func resume(e Execution) *move {
	m := step(e, Resume, struct{}{})
	m.execution.PausedAt = db.Time{}
	return m
}

func cancel(e Execution, reason string, now db.Time) *move {
	m := step(e, Cancel, reasonData{reason})
	m.execution.CompletedAt, m.execution.PausedAt = now, db.Time{}
	return m
}

func restart(e Execution, names []string, from string) *move {
	m := step(e, Restart, restartedData{names, from})
	m.execution.CompletedAt, m.execution.Error = db.Time{}, ""
	m.execution.Attempt++
	return m
}

// event encodes the history of the move.
func (m *move) event() (events.Event, error) {
	data, err := json.Marshal(m.data)
	if err != nil {
		return events.Event{}, fmt.Errorf("encode the data of %s: %w", m.transition.Event, err)
	}
	return events.Event{
		PipelineExecutionID: m.execution.ID, EventType: m.transition.Event, Version: &m.execution.Version, EventData: data,
		WorkerID: db.Text(m.worker), Actor: db.Text(m.actor),
	}, nil
}
