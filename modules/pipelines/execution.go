// Package pipelines is the run of a definition: its state, what follows from each step of it (plan.go, pure), and the
// engine, whose every use case is one transaction. The engine is the only place where transactions span modules.
package pipelines

import (
	"errors"
	"fmt"
	"slices"

	"gorm.io/gorm/schema"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/platform/db"
)

// Status is where a pipeline execution stands.
type Status string

// The statuses of a pipeline execution; the last three are terminal.
const (
	Running   Status = "Running"
	Paused    Status = "Paused"
	Completed Status = "Completed"
	Failed    Status = "Failed"
	Cancelled Status = "Cancelled"
)

// Statuses lists every status.
func Statuses() []Status { return []Status{Running, Paused, Completed, Failed, Cancelled} }

// Terminal reports whether nothing but an operator's retry moves an execution on from s.
func (s Status) Terminal() bool { return s == Completed || s == Failed || s == Cancelled }

// Errors that callers act on.
var (
	ErrExecutionNotFound = errors.New("no such pipeline execution")
	ErrPipelineNotFound  = errors.New("no such pipeline")
	ErrInvalidState      = errors.New("not possible in this state")
	ErrInvalidArgument   = errors.New("invalid")

	// ErrKeyReused answers a start whose idempotency key has started a run with another input, or of another
	// definition.
	ErrKeyReused = fmt.Errorf("%w: the idempotency key was used before", ErrInvalidState)
)

// Transition is one row of the pipeline's state machine. From is empty for the start.
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

// Transitions lists the whole table.
func Transitions() []Transition {
	return []Transition{Start, Complete, Fail, Pause, Resume, Cancel, Restart}
}

// verb is what an operator calls the transition.
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
	DefinitionVersion string  `json:"definition_version"` // the run keeps the definition that it started with
	Status            Status  `json:"status"`
	Version           int64   `json:"version"` // counts transitions
	Attempt           int     `json:"attempt"` // 1, and 1 more for each restart
	Input             db.JSON `json:"input"`
	Error             db.Text `json:"error"` // of a failed execution: the first failure that it does not continue after
	IdempotencyKey    db.Text `json:"idempotency_key"`
	OpenTasks         int     `json:"open_tasks"`         // tasks that are not terminal
	UnsuccessfulTasks int     `json:"unsuccessful_tasks"` // terminal tasks that are not Completed
	EventsRemoved     int64   `json:"events_removed"`     // by retention
	OutputsRemovedAt  db.Time `json:"outputs_removed_at"` // by retention; null: never
	LogsRemovedAt     db.Time `json:"logs_removed_at"`    // by retention; null: never
	Seal              db.Text `json:"seal"`               // hex SHA-256 over what the execution is at SealedVersion (docs/seal.md); null: not sealed
	FormerSeal        db.Text `json:"former_seal"`        // of the end before a retry, which Seal covers
	SealedVersion     *int64  `json:"sealed_version"`
	SealParts         db.Text `json:"seal_parts,omitempty"` // what Seal is the hash of; empty: not sealed, or a seal of form 1; lists leave it out
	ReservedFor       db.Text `json:"reserved_for"`         // the worker of the sluice run process that alone claims its tasks; null: any worker may
	SealDue           int     `json:"-"`                    // 1: ended, and not sealed yet though it should be
	CreatedAt         db.Time `json:"created_at"`
	CompletedAt       db.Time `json:"completed_at"`
	PausedAt          db.Time `json:"paused_at"`
	DeadlineAt        db.Time `json:"deadline_at"` // when the pipeline's timeout ends it; null: it has none, or has ended

	Labels map[string]string `json:"labels,omitempty" gorm:"-"` // they have a table of their own
}

// claimableBy reports whether a worker may claim the execution's tasks.
func (e *Execution) claimableBy(worker string) bool {
	return e.ReservedFor == "" || string(e.ReservedFor) == worker
}

// TableName puts the table into the tenant's schema.
func (Execution) TableName(n schema.Namer) string { return n.TableName("pipeline_executions") }
