// Package pipelines implements runs of definitions: their state, the planning of what follows from a change (plan.go,
// without side effects), and the engine, which executes each use case in one transaction. Only the engine writes to the
// tables of several modules in one transaction.
package pipelines

import (
	"errors"
	"fmt"
	"slices"

	"gorm.io/gorm/schema"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/platform/db"
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
	Start    = Transition{Name: "start", To: Running, Event: events.PipelineStarted}
	Complete = Transition{Name: "complete", From: []Status{Running, Paused}, To: Completed, Event: events.PipelineCompleted}
	Fail     = Transition{Name: "fail", From: []Status{Running, Paused}, To: Failed, Event: events.PipelineFailed}
	Pause    = Transition{Name: "pause", From: []Status{Running}, To: Paused, Event: events.PipelinePaused}
	Resume   = Transition{Name: "resume", From: []Status{Paused}, To: Running, Event: events.PipelineResumed}
	Cancel   = Transition{Name: "cancel", From: []Status{Running, Paused}, To: Cancelled, Event: events.PipelineCancelled}
	Restart  = Transition{Name: "restart", From: []Status{Completed, Failed, Cancelled}, To: Running, Event: events.PipelineRestarted}
)

// Transitions returns all transitions.
func Transitions() []Transition {
	return []Transition{Start, Complete, Fail, Pause, Resume, Cancel, Restart}
}

// verb returns the operator's word for the transition.
func (t Transition) verb() string {
	if t.Name == Restart.Name {
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
	ID                db.ID   `json:"id"`
	PipelineName      string  `json:"pipeline_name"`
	DefinitionVersion string  `json:"definition_version"` // fixed at the start of the run
	Status            Status  `json:"status"`
	Version           int64   `json:"version"` // number of transitions
	Attempt           int     `json:"attempt"` // 1, plus 1 for each restart
	Input             db.JSON `json:"input"`
	Error             db.Text `json:"error"` // of a failed execution: the first failure without continue_on_error
	IdempotencyKey    db.Text `json:"idempotency_key"`
	OpenTasks         int     `json:"open_tasks"`         // number of tasks that are not terminal
	UnsuccessfulTasks int     `json:"unsuccessful_tasks"` // number of terminal tasks that are not Completed
	EventsRemoved     int64   `json:"events_removed"`     // number of events that retention removed
	OutputsRemovedAt  db.Time `json:"outputs_removed_at"` // when retention removed them; null: never
	LogsRemovedAt     db.Time `json:"logs_removed_at"`    // when retention removed them; null: never
	Seal              db.Text `json:"seal"`               // hex SHA-256 (docs/seal.md) at SealedVersion; null: unsealed
	FormerSeal        db.Text `json:"former_seal"`        // seal of the end before a retry, which Seal covers
	SealedVersion     *int64  `json:"sealed_version"`
	SealParts         db.Text `json:"seal_parts,omitempty"` // hashed content; empty: unsealed or form 1; not in lists
	ReservedFor       db.Text `json:"reserved_for"`         // the only worker that may claim the tasks; null: any
	SealDue           int     `json:"-"`                    // 1: ended, should be sealed and is not yet
	CreatedAt         db.Time `json:"created_at"`
	CompletedAt       db.Time `json:"completed_at"`
	PausedAt          db.Time `json:"paused_at"`
	DeadlineAt        db.Time `json:"deadline_at"` // when the pipeline times out; null: no timeout, or ended

	Labels map[string]string `json:"labels,omitempty" gorm:"-"` // stored in a table of their own
}

// claimableBy reports whether the given worker may claim the execution's tasks.
func (e *Execution) claimableBy(worker string) bool {
	return e.ReservedFor == "" || string(e.ReservedFor) == worker
}

// TableName returns the name of the table in the tenant's schema.
func (Execution) TableName(n schema.Namer) string { return n.TableName("pipeline_executions") }
