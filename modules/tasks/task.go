// Package tasks holds the domain of one task of a run: its state machine, its changes, the contract of handlers and
// their retry policy. It reads and writes no database; package taskstore applies the changes. It does not use the
// dependency graph; package pipelines does.
package tasks

import (
	"errors"

	"github.com/sluiceworks/sluice/platform/dbtype"
)

// ErrNotFound means that a task execution does not exist.
var ErrNotFound = errors.New("no such task execution")

// Task is one task execution.
type Task struct {
	ID                    dbtype.ID   `json:"id"`
	PipelineExecutionID   dbtype.ID   `json:"pipeline_execution_id"`
	TaskName              string      `json:"task_name"`
	Handler               string      `json:"handler"`
	Queue                 string      `json:"queue"`
	Priority              int         `json:"priority"` // 0 high, 1 normal, 2 low
	Status                Status      `json:"status"`
	SubStatus             SubStatus   `json:"sub_status"`
	Version               int64       `json:"version"` // number of transitions; every change checks it
	Attempt               int         `json:"attempt"` // number of the last attempt that was started
	MaxAttempts           int         `json:"max_attempts"`
	RemainingDependencies int         `json:"remaining_dependencies"` // dependencies that are not terminal
	WorkerID              dbtype.Text `json:"worker_id"`
	RetryAt               dbtype.Time `json:"retry_at"`    // of a Ready task: the earliest time of the next claim
	Recoveries            int         `json:"recoveries"`  // attempts lost with workers; do not count in MaxAttempts
	SkipReason            SkipReason  `json:"skip_reason"` // of a Skipped task
	Output                dbtype.JSON `json:"output"`
	Error                 dbtype.Text `json:"error"`      // of the last failed attempt, until one completes
	ErrorKind             ErrorKind   `json:"error_kind"` // empty if Error has no kind
	CreatedAt             dbtype.Time `json:"created_at"`
	StartedAt             dbtype.Time `json:"started_at"` // of the last attempt, or of the deferral
	CompletedAt           dbtype.Time `json:"completed_at"`
}

// UnderClaim reports whether the task is still held by the given claim. It compares the worker and the start time in
// addition to the version: after the loss of commits, another claim may have the same version.
func (t *Task) UnderClaim(claim *Task) bool {
	return t.Status == Running && t.Version == claim.Version && t.WorkerID == claim.WorkerID &&
		t.StartedAt.Equal(claim.StartedAt.Time)
}

// AttemptsLeft reports whether another attempt may follow a failed one. Attempts lost with their worker do not count.
func (t *Task) AttemptsLeft() bool { return t.Attempt-t.Recoveries < t.MaxAttempts }

// Key identifies a task within a pipeline execution.
type Key struct {
	PipelineExecutionID dbtype.ID
	TaskName            string
}

// DependencyCount is the number to subtract from a task's remaining dependencies. A negative number reopens
// dependencies.
type DependencyCount struct {
	ID    dbtype.ID
	Ended int
}
