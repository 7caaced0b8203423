package audit

import (
	"slices"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/seal"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// pipeline is a pipeline execution that is being checked: its row, the fold of its own events, and its tasks.
type pipeline struct {
	id         dbtype.ID
	status     pipelineStatus
	name       string
	definition string
	version    number
	err        string
	attempt    number // 1, and 1 more for each restart

	open, unsuccessful, removed number
	created, ended, pausedAt    number // microseconds since 1970
	outputsGone                 number // when retention removed its outputs

	reservedFor string // the only worker that may claim its tasks

	seal, formerSeal string
	sealed           number       // the version that the seal covers
	digest           *seal.Digest // of the history, if the seal covers the row's version
	contents         *contents    // if that seal has form 2

	bad     []string // columns that cannot be read
	history history
	fold    pipelineFold
	pastEnd int64 // the version of the last end that checkPastEnd has checked
	tasks   []*task
	// foreignTasks are tasks that events of this pipeline name but that do not belong to it.
	foreignTasks map[dbtype.ID]*foreignTask
}

var pipelineColumns = []string{
	"id", "status", "pipeline_name", "definition_version", "version", "error",
	"open_tasks", "unsuccessful_tasks", "events_removed", "created_at", "completed_at", "paused_at",
	"outputs_removed_at",
	"seal", "former_seal", "sealed_version", "reserved_for", "attempt",
}

func readPipeline(r *rawRow) *pipeline {
	p := &pipeline{
		id: r.id(0), status: pipelineStatus(r.text(1)), name: r.text(2), definition: r.text(3), version: r.require(4),
		err:  r.text(5),
		open: r.require(6), unsuccessful: r.require(7), removed: r.require(8),
		created: r.instant(9), ended: r.instant(10), pausedAt: r.instant(11), outputsGone: r.instant(12),
		seal: r.text(13), formerSeal: r.text(14), sealed: r.number(15),
		reservedFor: r.text(16), attempt: r.require(17),
	}
	if p.seal != "" && !p.retained() && p.sealed == p.version {
		p.digest = &seal.Digest{}
	}
	p.bad = r.bad
	return p
}

// retained reports whether retention has removed its events.
func (x *pipeline) retained() bool { return x.removed.v != 0 }

// task is a task execution that is being checked: its row, its outbox rows, and the fold of its events.
type task struct {
	id         dbtype.ID
	pipelineID dbtype.ID
	status     tasks.Status
	sub        tasks.SubStatus
	name       string
	handler    string
	queue      string
	worker     string
	err        string
	skipReason string
	errKind    string

	priority, version, attempt, maxAttempts, remaining, recoveries number
	retryAt, created, started, completed                           number // microseconds since 1970

	queued  []queued
	bad     []string // columns that cannot be read
	history history
	fold    taskFold
}

// queued is an outbox row of a task.
type queued struct {
	id, available  number
	handler, queue string
}

// foreignTask counts the events of a pipeline that name a task of no or another pipeline.
type foreignTask struct {
	events int
	first  EventRef
}

var taskColumns = []string{
	"t.id", "t.pipeline_execution_id", "t.status", "t.sub_status", "t.task_name", "t.handler", "t.worker_id", "t.error",
	"t.version", "t.attempt", "t.max_attempts", "t.remaining_dependencies", "t.recoveries",
	"t.retry_at", "t.created_at", "t.started_at", "t.completed_at",
	"o.id", "o.available_at", "o.handler", "t.queue", "t.priority", "o.queue", "t.skip_reason", "t.error_kind",
}

func readTask(r *rawRow) *task {
	t := &task{
		id: r.id(0), pipelineID: r.id(1), status: tasks.Status(r.text(2)), sub: tasks.SubStatus(r.text(3)),
		name:    r.text(4),
		handler: r.text(5), worker: r.text(6), err: r.text(7),
		version: r.require(8), attempt: r.require(9), maxAttempts: r.require(10), remaining: r.require(11),
		recoveries: r.require(12),
		retryAt:    r.instant(13), created: r.instant(14), started: r.instant(15), completed: r.instant(16),
	}
	if id := r.number(17); id.set || id.bad {
		t.queued = []queued{{id, r.instant(18), r.text(19), r.text(22)}}
	}
	t.queue, t.priority, t.skipReason = r.text(20), r.require(21), r.text(23)
	t.errKind = r.text(24)
	t.bad = r.bad
	return t
}

var eventColumns = []string{
	"sequence_num", "pipeline_execution_id", "task_execution_id", "event_type", "version", "worker_id", "created_at",
	"event_data",
}

// sealColumns are eventColumns and the further columns that a seal covers.
var sealColumns = append(slices.Clone(eventColumns), "id", "actor")

// sealed returns the event in the form that its seal covers.
func (e *event) sealed(r *rawRow, task dbtype.ID) *seal.Event {
	return &seal.Event{
		ID: r.id(8), TaskExecutionID: task, Version: e.version.v, Type: e.typ, Data: e.data, Worker: e.worker,
		Actor: r.text(9), CreatedAt: e.at.v,
	}
}

// readEvent fills e. The data is valid until the next row.
func readEvent(r *rawRow, e *event) (pipeline, task dbtype.ID) {
	e.seq, e.typ, e.version = r.number(0).v, events.Type(r.text(3)), r.number(4)
	e.worker, e.at = r.text(5), r.instant(6)
	e.data = r.cells[7].b
	return r.id(1), r.id(2)
}
