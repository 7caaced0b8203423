// Package pipelines holds the domain of runs: the state machine of an execution, its changes, and the plan, which
// computes what follows from a change. It reads and writes no database; package engine executes each use case in one
// transaction.
package pipelines

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// Status is the status of a pipeline execution.
type Status string

// The statuses of a pipeline execution; the last three are terminal.
const (
	Running   Status = "Running"
	Paused    Status = "Paused"
	Completed Status = "Completed"
	Failed    Status = "Failed"
	Cancelled Status = "Cancelled"
)

// Statuses returns all statuses.
func Statuses() []Status { return []Status{Running, Paused, Completed, Failed, Cancelled} }

// Terminal reports whether the execution has ended. Only an operator's retry changes a terminal status.
func (s Status) Terminal() bool { return s == Completed || s == Failed || s == Cancelled }

// Errors that callers distinguish.
var (
	ErrExecutionNotFound = errors.New("no such pipeline execution")
	ErrPipelineNotFound  = errors.New("no such pipeline")
	ErrInvalidState      = errors.New("not allowed in this state")
	ErrInvalidArgument   = errors.New("invalid")

	// ErrKeyReused means that the idempotency key of a start has started a run with another input, or of another
	// definition.
	ErrKeyReused = fmt.Errorf("%w: the idempotency key was used before", ErrInvalidState)

	// ErrDefinitionMissing means that a definition is not stored, was changed in the database, or cannot be read by
	// this program.
	ErrDefinitionMissing = errors.New("definition gone")
	// ErrDefinitionChanged means that the content of a stored definition does not match its version, which is a hash
	// of the content.
	ErrDefinitionChanged = errors.New("the stored definition is not what its version says")
)

// Transition is one row of the transition table of pipeline executions. From is empty for the start.
type Transition struct {
	Name  string
	From  []Status
	To    Status
	Event events.Type
}

// The transition table of a pipeline execution.
var (
	TransitionStart    = Transition{Name: "start", To: Running, Event: events.PipelineStarted}
	TransitionComplete = Transition{
		Name: "complete", From: []Status{Running, Paused}, To: Completed,
		Event: events.PipelineCompleted,
	}
	TransitionFail = Transition{
		Name: "fail", From: []Status{Running, Paused}, To: Failed,
		Event: events.PipelineFailed,
	}
	TransitionPause  = Transition{Name: "pause", From: []Status{Running}, To: Paused, Event: events.PipelinePaused}
	TransitionResume = Transition{Name: "resume", From: []Status{Paused}, To: Running, Event: events.PipelineResumed}
	TransitionCancel = Transition{
		Name: "cancel", From: []Status{Running, Paused}, To: Cancelled,
		Event: events.PipelineCancelled,
	}
	TransitionRestart = Transition{
		Name: "restart", From: []Status{Completed, Failed, Cancelled}, To: Running,
		Event: events.PipelineRestarted,
	}
)

// Transitions returns all transitions.
func Transitions() []Transition {
	return []Transition{
		TransitionStart, TransitionComplete, TransitionFail, TransitionPause, TransitionResume, TransitionCancel,
		TransitionRestart,
	}
}

// verb returns the operator's word for the transition.
func (t Transition) verb() string {
	if t.Name == TransitionRestart.Name {
		return "retry"
	}
	return t.Name
}

func (t Transition) allows(from Status) bool {
	if len(t.From) == 0 {
		return from == ""
	}
	return slices.Contains(t.From, from)
}

// Execution is one run of a pipeline.
type Execution struct {
	ID                dbtype.ID   `json:"id"`
	PipelineName      string      `json:"pipeline_name"`
	DefinitionVersion string      `json:"definition_version"` // fixed at the start of the run
	Status            Status      `json:"status"`
	Version           int64       `json:"version"` // number of transitions
	Attempt           int         `json:"attempt"` // 1, plus 1 for each restart
	Input             dbtype.JSON `json:"input"`
	Error             dbtype.Text `json:"error"` // of a failed execution: the first failure without continue_on_error
	IdempotencyKey    dbtype.Text `json:"idempotency_key"`
	OpenTasks         int         `json:"open_tasks"`         // number of tasks that are not terminal
	UnsuccessfulTasks int         `json:"unsuccessful_tasks"` // number of terminal tasks that are not Completed
	EventsRemoved     int64       `json:"events_removed"`     // number of events that retention removed
	OutputsRemovedAt  dbtype.Time `json:"outputs_removed_at"` // when retention removed them; null: never
	LogsRemovedAt     dbtype.Time `json:"logs_removed_at"`    // when retention removed them; null: never
	Seal              dbtype.Text `json:"seal"`               // hex SHA-256 at SealedVersion (docs/seal.md); null: none
	FormerSeal        dbtype.Text `json:"former_seal"`        // seal of the end before a retry, which Seal covers
	SealedVersion     *int64      `json:"sealed_version"`
	SealParts         dbtype.Text `json:"seal_parts,omitempty"` // hashed content; empty: unsealed, form 1, or in a list
	ReservedFor       dbtype.Text `json:"reserved_for"`         // the only worker that may claim the tasks; null: any
	SealDue           int         `json:"-"`                    // 1: ended, should be sealed and is not yet
	CreatedAt         dbtype.Time `json:"created_at"`
	CompletedAt       dbtype.Time `json:"completed_at"`
	PausedAt          dbtype.Time `json:"paused_at"`
	DeadlineAt        dbtype.Time `json:"deadline_at"` // when the pipeline times out; null: no timeout, or ended

	Labels map[string]string `json:"labels,omitempty" gorm:"-"` // stored in a table of their own
}

// ClaimableBy reports whether the given worker may claim the execution's tasks.
func (e *Execution) ClaimableBy(worker string) bool {
	return e.ReservedFor == "" || string(e.ReservedFor) == worker
}

// Deadline returns the deadline of a run that starts now; zero if the pipeline has no timeout.
func Deadline(def *definition.Definition, now dbtype.Time) dbtype.Time {
	if def.Timeout <= 0 {
		return dbtype.Time{}
	}
	return dbtype.NewTime(now.Add(def.Timeout))
}

// MergedLabels returns the union of a definition's labels and those given at the start. The latter take precedence.
func MergedLabels(defined, given map[string]string) map[string]string {
	if len(given) == 0 {
		return defined
	}
	out := maps.Clone(given)
	for name, value := range defined {
		if _, ok := out[name]; !ok {
			out[name] = value
		}
	}
	return out
}
