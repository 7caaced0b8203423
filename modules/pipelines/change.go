package pipelines

import (
	"encoding/json"
	"fmt"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// Change describes one transition of a pipeline execution: the data of its event and the resulting row.
type Change struct {
	Execution  Execution // the resulting row
	Transition Transition
	Data       any    // the data of the event, such as StartedData; encoded as a JSON object
	Worker     string // the worker that caused it; empty if none
	Actor      string // the operator who requested it; empty if none

	failure error
}

// Err returns ErrInvalidState if the table does not allow the transition.
func (m *Change) Err() error { return m.failure }

// newChange returns the change that a transition makes to e, and increments the version. If the table does not allow
// the transition, the change has the error ErrInvalidState.
func newChange(e Execution, t Transition, data any) *Change {
	m := &Change{Execution: e, Transition: t, Data: data}
	if !t.allows(e.Status) {
		m.failure = fmt.Errorf("%w: cannot %s pipeline execution %s, which is %s", ErrInvalidState, t.verb(), e.ID,
			e.Status)
	}
	m.Execution.Status = t.To
	if t.To.Terminal() {
		m.Execution.ReservedFor, m.Execution.DeadlineAt = "", dbtype.Time{}
	}
	m.Execution.Version++
	return m
}

// Start returns the change that creates a new execution.
func (e Execution) Start(taskCount int) *Change {
	return newChange(e, TransitionStart, StartedData{e.PipelineName, e.DefinitionVersion, taskCount})
}

// End returns the change that ends an execution without open tasks. failure is the error of the first failed task that
// the pipeline does not continue after; empty for success.
func (e Execution) End(counts map[tasks.Status]int, failure string, now dbtype.Time) *Change {
	data := EndedData{Counts: counts, DurationMS: now.Sub(e.CreatedAt.Time).Milliseconds(), Error: failure}
	t := TransitionComplete
	if failure != "" {
		t = TransitionFail
	}
	m := newChange(e, t, data)
	m.Execution.CompletedAt, m.Execution.PausedAt, m.Execution.Error = now, dbtype.Time{}, dbtype.Text(failure)
	return m
}

// Pause returns the change that pauses an execution at the given time.
func (e Execution) Pause(reason string, now dbtype.Time) *Change {
	m := newChange(e, TransitionPause, ReasonData{reason})
	m.Execution.PausedAt = now
	return m
}

// Resume returns the change that continues a paused execution.
func (e Execution) Resume() *Change {
	m := newChange(e, TransitionResume, ResumedData{})
	m.Execution.PausedAt = dbtype.Time{}
	return m
}

// Cancel returns the change that cancels an execution at the given time.
func (e Execution) Cancel(reason string, now dbtype.Time) *Change {
	m := newChange(e, TransitionCancel, ReasonData{reason})
	m.Execution.CompletedAt, m.Execution.PausedAt = now, dbtype.Time{}
	return m
}

// Restart returns the change that restarts an ended execution. names are the tasks that run again, and from is the task
// from which they do; empty: the unsuccessful ones.
func (e Execution) Restart(names []string, from string) *Change {
	m := newChange(e, TransitionRestart, RestartedData{names, from})
	m.Execution.CompletedAt, m.Execution.Error = dbtype.Time{}, ""
	m.Execution.Attempt++
	return m
}

// Event returns the event of the change.
func (m *Change) Event() (events.Event, error) {
	data, err := json.Marshal(m.Data)
	if err != nil {
		return events.Event{}, fmt.Errorf("encode the data of %s: %w", m.Transition.Event, err)
	}
	return events.Event{
		PipelineExecutionID: m.Execution.ID, EventType: m.Transition.Event, Version: &m.Execution.Version,
		EventData: data,
		WorkerID:  dbtype.Text(m.Worker), Actor: dbtype.Text(m.Actor),
	}, nil
}
