// Package tasks is one task of a run: its state machine, what may move it, its handlers and their retry policy. Its
// repository applies transitions, status, event and outbox row together; nothing else in the program writes a task's
// status. It does not know the graph: which task follows which is the business of modules/pipelines.
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
	Version               int64      `json:"version"` // counts transitions; every write names the version it read
	Attempt               int        `json:"attempt"` // the number of the last attempt begun
	MaxAttempts           int        `json:"max_attempts"`
	RemainingDependencies int        `json:"remaining_dependencies"` // those that are not terminal
	WorkerID              db.Text    `json:"worker_id"`
	RetryAt               db.Time    `json:"retry_at"`    // of a Ready task: no claim before
	Recoveries            int        `json:"recoveries"`  // attempts lost with their worker; not counted against MaxAttempts
	SkipReason            SkipReason `json:"skip_reason"` // of a Skipped task
	Output                db.JSON    `json:"output"`
	Error                 db.Text    `json:"error"`      // of the last failed attempt, until one completes
	ErrorKind             ErrorKind  `json:"error_kind"` // of Error; empty: none, or it was given up for a reason that has no kind
	CreatedAt             db.Time    `json:"created_at"`
	StartedAt             db.Time    `json:"started_at"` // of the last attempt; of a deferred task, when it was deferred
	CompletedAt           db.Time    `json:"completed_at"`
}

// TableName puts the table into the tenant's schema.
func (Task) TableName(n schema.Namer) string { return n.TableName("task_executions") }

// OutboxEntry is the task's outbox row.
func (t *Task) OutboxEntry(at db.Time) outbox.Entry {
	return outbox.Entry{
		TaskExecutionID: t.ID, PipelineExecutionID: t.PipelineExecutionID, Handler: t.Handler, Queue: t.Queue, Lane: outbox.LaneOf(t.Priority),
		AvailableAt: at,
	}
}

// UnderClaim reports whether a row is still under a claim: the version alone does not say so, for after lost commits
// another claim may have reached the same one.
func (t *Task) UnderClaim(claim *Task) bool {
	return t.Status == Running && t.Version == claim.Version && t.WorkerID == claim.WorkerID && t.StartedAt.Equal(claim.StartedAt.Time)
}

// AttemptsLeft reports whether a failed attempt may be followed by another. Attempts lost with their worker do not
// count.
func (t *Task) AttemptsLeft() bool { return t.Attempt-t.Recoveries < t.MaxAttempts }
