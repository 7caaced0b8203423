// Package tasks implements one task of a run: its state machine, its handlers and their retry policy. The repository
// writes the status, the event and the outbox row of a transition in one transaction. No other package writes the
// status of a task. The package does not use the dependency graph; package pipelines does.
package tasks

import (
	"gorm.io/gorm/schema"

	"github.com/sluiceworks/sluice/modules/outbox"
	"github.com/sluiceworks/sluice/platform/db"
)

// Task is one task execution.
type Task struct {
	ID                    db.ID      `json:"id"`
	PipelineExecutionID   db.ID      `json:"pipeline_execution_id"`
	TaskName              string     `json:"task_name"`
	Handler               string     `json:"handler"`
	Queue                 string     `json:"queue"`
	Priority              int        `json:"priority"` // 0 high, 1 normal, 2 low
	Status                Status     `json:"status"`
	SubStatus             SubStatus  `json:"sub_status"`
	Version               int64      `json:"version"` // number of transitions; every change checks it
	Attempt               int        `json:"attempt"` // number of the last attempt that was started
	MaxAttempts           int        `json:"max_attempts"`
	RemainingDependencies int        `json:"remaining_dependencies"` // dependencies that are not terminal
	WorkerID              db.Text    `json:"worker_id"`
	RetryAt               db.Time    `json:"retry_at"`    // of a Ready task: the earliest time of the next claim
	Recoveries            int        `json:"recoveries"`  // attempts lost with workers; do not count in MaxAttempts
	SkipReason            SkipReason `json:"skip_reason"` // of a Skipped task
	Output                db.JSON    `json:"output"`
	Error                 db.Text    `json:"error"`      // of the last failed attempt, until one completes
	ErrorKind             ErrorKind  `json:"error_kind"` // empty if Error has no kind
	CreatedAt             db.Time    `json:"created_at"`
	StartedAt             db.Time    `json:"started_at"` // of the last attempt, or of the deferral
	CompletedAt           db.Time    `json:"completed_at"`
}

// TableName returns the name of the table in the tenant's schema.
func (Task) TableName(n schema.Namer) string { return n.TableName("task_executions") }

// OutboxEntry returns the task's outbox row, which becomes due at the given time.
func (t *Task) OutboxEntry(at db.Time) outbox.Entry {
	return outbox.Entry{
		TaskExecutionID: t.ID, PipelineExecutionID: t.PipelineExecutionID, Handler: t.Handler, Queue: t.Queue, Lane: outbox.LaneOf(t.Priority),
		AvailableAt: at,
	}
}

// UnderClaim reports whether the task is still held by the given claim. It compares the worker and the start time in
// addition to the version: after the loss of commits, another claim may have the same version.
func (t *Task) UnderClaim(claim *Task) bool {
	return t.Status == Running && t.Version == claim.Version && t.WorkerID == claim.WorkerID && t.StartedAt.Equal(claim.StartedAt.Time)
}

// AttemptsLeft reports whether another attempt may follow a failed one. Attempts lost with their worker do not count.
func (t *Task) AttemptsLeft() bool { return t.Attempt-t.Recoveries < t.MaxAttempts }
