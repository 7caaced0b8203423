// Package views holds executions and tasks as JSON shows them: in the words of the YAML where it has one, the same in
// every command and in the data of events. The rows of an export keep the names of the columns.
package views

import (
	"time"

	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// Execution is one run of a pipeline.
type Execution struct {
	ID                dbtype.ID        `json:"id"`
	Pipeline          string           `json:"pipeline"`
	DefinitionVersion string           `json:"definition_version"`
	Status            pipelines.Status `json:"status"`
	Version           int64            `json:"version"` // counts transitions
	Attempt           int              `json:"attempt"` // 1, and 1 more for each retry of the run
	Input             dbtype.JSON      `json:"input"`
	Error             dbtype.Text      `json:"error"`
	IdempotencyKey    dbtype.Text      `json:"idempotency_key"`
	OpenTasks         int              `json:"open_tasks"`         // tasks that are not terminal
	UnsuccessfulTasks int              `json:"unsuccessful_tasks"` // terminal tasks that are not Completed
	EventsRemoved     int64            `json:"events_removed"`     // by retention
	OutputsRemovedAt  dbtype.Time      `json:"outputs_removed_at"` // by retention; null: never
	LogsRemovedAt     dbtype.Time      `json:"logs_removed_at"`    // by retention; null: never
	Seal              dbtype.Text      `json:"seal"`
	FormerSeal        dbtype.Text      `json:"former_seal"`
	SealedVersion     *int64           `json:"sealed_version"`
	SealParts         dbtype.Text      `json:"seal_parts,omitempty"` // what Seal is the hash of; list leaves it out
	ReservedFor       dbtype.Text      `json:"reserved_for"`         // the only worker that claims its tasks; null: any
	CreatedAt         dbtype.Time      `json:"created_at"`
	StartedAt         dbtype.Time      `json:"started_at"` // of its first task; null: none has started, it is queued
	CompletedAt       dbtype.Time      `json:"completed_at"`
	PausedAt          dbtype.Time      `json:"paused_at"`
	DeadlineAt        dbtype.Time      `json:"deadline_at"` // when its timeout ends it; null: no timeout, or ended
	// WaitedMS is from its creation to its first task's start; so far, or until it ended without.
	WaitedMS int64 `json:"waited_ms"`
	// DurationMS is since its first task started, so far if it has not ended; null: none has.
	DurationMS *int64 `json:"duration_ms"`

	Labels map[string]string `json:"labels"`
}

// OfExecution shows an execution whose first task started at an instant, or has not (zero). now is the database's time.
func OfExecution(x pipelines.Execution, started dbtype.Time, now time.Time) Execution {
	v := Execution{
		ID: x.ID, Pipeline: x.PipelineName, DefinitionVersion: x.DefinitionVersion, Status: x.Status,
		Version: x.Version, Attempt: x.Attempt, Input: x.Input,
		Error: x.Error, IdempotencyKey: x.IdempotencyKey, OpenTasks: x.OpenTasks,
		UnsuccessfulTasks: x.UnsuccessfulTasks,
		EventsRemoved:     x.EventsRemoved, OutputsRemovedAt: x.OutputsRemovedAt, LogsRemovedAt: x.LogsRemovedAt,
		Seal:       x.Seal,
		FormerSeal: x.FormerSeal, SealedVersion: x.SealedVersion, SealParts: x.SealParts, ReservedFor: x.ReservedFor,
		CreatedAt: x.CreatedAt, StartedAt: started, CompletedAt: x.CompletedAt,
		PausedAt: x.PausedAt, DeadlineAt: x.DeadlineAt, Labels: x.Labels,
	}
	if started.IsZero() {
		v.WaitedMS = milliseconds(x.CreatedAt, x.CompletedAt, now)
	} else {
		ms := milliseconds(started, x.CompletedAt, now)
		v.WaitedMS, v.DurationMS = milliseconds(x.CreatedAt, started, now), &ms
	}
	if v.Labels == nil {
		v.Labels = map[string]string{}
	}
	return v
}

// OfExecutions shows several; started is by id.
func OfExecutions(list []pipelines.Execution, started map[dbtype.ID]dbtype.Time, now time.Time) []Execution {
	out := make([]Execution, len(list))
	for i, x := range list {
		out[i] = OfExecution(x, started[x.ID], now)
	}
	return out
}

// Task is one task of a run.
type Task struct {
	ID                    string           `json:"id"` // its name in the YAML
	TaskExecutionID       dbtype.ID        `json:"task_execution_id"`
	PipelineExecutionID   dbtype.ID        `json:"pipeline_execution_id"`
	Uses                  string           `json:"uses"`  // the handler
	Needs                 []string         `json:"needs"` // null: retention has removed the history, which tells it
	Queue                 string           `json:"queue"`
	Priority              tasks.Priority   `json:"priority"`
	Status                tasks.Status     `json:"status"`
	SubStatus             tasks.SubStatus  `json:"sub_status"`
	Version               int64            `json:"version"` // counts transitions
	Attempt               int              `json:"attempt"` // the number of the last attempt begun
	MaxAttempts           int              `json:"max_attempts"`
	RemainingDependencies int              `json:"remaining_dependencies"` // those that are not terminal
	WorkerID              dbtype.Text      `json:"worker_id"`
	RetryAt               dbtype.Time      `json:"retry_at"`    // of a Ready task: no claim before
	Recoveries            int              `json:"recoveries"`  // attempts lost with their worker
	SkipReason            tasks.SkipReason `json:"skip_reason"` // of a Skipped task
	Output                dbtype.JSON      `json:"output"`
	Error                 dbtype.Text      `json:"error"` // of the last failed attempt, until one completes
	ErrorKind             tasks.ErrorKind  `json:"error_kind"`
	CreatedAt             dbtype.Time      `json:"created_at"`
	StartedAt             dbtype.Time      `json:"started_at"` // of the last attempt; if deferred, of the deferral
	CompletedAt           dbtype.Time      `json:"completed_at"`
	// DurationMS is since StartedAt, so far if it is running; null: it is not, and has not been.
	DurationMS *int64 `json:"duration_ms"`
}

// OfTask shows a task that needs others. now is the database's time.
func OfTask(t tasks.Task, needs []string, now time.Time) Task {
	v := Task{
		ID: t.TaskName, TaskExecutionID: t.ID, PipelineExecutionID: t.PipelineExecutionID, Uses: t.Handler,
		Needs: needs, Queue: t.Queue,
		Priority: tasks.PriorityOf(t.Priority), Status: t.Status, SubStatus: t.SubStatus, Version: t.Version,
		Attempt:     t.Attempt,
		MaxAttempts: t.MaxAttempts, RemainingDependencies: t.RemainingDependencies, WorkerID: t.WorkerID,
		RetryAt:    t.RetryAt,
		Recoveries: t.Recoveries, SkipReason: t.SkipReason, Output: t.Output, Error: t.Error, ErrorKind: t.ErrorKind,
		CreatedAt: t.CreatedAt, StartedAt: t.StartedAt, CompletedAt: t.CompletedAt,
	}
	if !t.StartedAt.IsZero() && (t.Status == tasks.Running || !t.CompletedAt.IsZero()) {
		ms := milliseconds(t.StartedAt, t.CompletedAt, now)
		v.DurationMS = &ms
	}
	return v
}

// OfTasks shows several; needs is by the id of the task execution.
func OfTasks(list []tasks.Task, needs map[dbtype.ID][]string, now time.Time) []Task {
	out := make([]Task, len(list))
	for i, t := range list {
		out[i] = OfTask(t, needs[t.ID], now)
	}
	return out
}

// milliseconds is how long something took, or has taken by now.
func milliseconds(from, to dbtype.Time, now time.Time) int64 {
	end := to.Time
	if to.IsZero() {
		end = now
	}
	return max(0, end.Sub(from.Time).Milliseconds())
}
