package archive

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// writer writes a file and computes its trailer.
type writer struct {
	out    *bufio.Writer
	sum    hash.Hash
	enc    *json.Encoder
	known  map[string]bool                 // written definitions, by name and version
	labels map[dbtype.ID]map[string]string // of the page's executions
	end    trailer
}

func newWriter(out io.Writer) *writer {
	w := &writer{out: bufio.NewWriterSize(out, 1<<16), sum: sha256.New(), known: map[string]bool{}}
	w.enc = encoder(io.MultiWriter(w.out, w.sum))
	return w
}

func (w *writer) counts() Counts { return w.end.Counts }

func (w *writer) write(v any) error {
	if err := w.enc.Encode(v); err != nil {
		return fmt.Errorf("write the export: %w", err)
	}
	return nil
}

func (w *writer) line(l *line) error {
	w.end.count(l)
	return w.write(l)
}

// close writes the trailer.
func (w *writer) close() error {
	w.end.SHA256 = hex.EncodeToString(w.sum.Sum(nil))
	if err := w.write(line{Trailer: &w.end}); err != nil {
		return err
	}
	if err := w.out.Flush(); err != nil {
		return fmt.Errorf("write the export: %w", err)
	}
	return nil
}

// page writes executions with all their rows, as they are read from the database.
func (w *writer) page(v db.View, ids []dbtype.ID) error {
	if err := w.definitions(v, ids); err != nil {
		return err
	}
	args := db.Args{"x": db.IDRows(ids)}
	w.labels = map[dbtype.ID]map[string]string{}
	for _, part := range []struct {
		what, statement string
		row             func(scan func(...any) error) error
	}{
		{"labels", selectLabels, w.label},
		{"executions", selectExecutions, w.execution},
		{"tasks", selectTasks, w.task},
		{"events", selectEvents, w.event},
		{"the outbox", selectOutbox, w.queued},
		{"logs", selectLogs, w.log},
	} {
		if err := v.Query(part.statement, args, part.row); err != nil {
			return fmt.Errorf("export %s: %w", part.what, err)
		}
	}
	return nil
}

// The statements of a page. Each has an order that is the same on both databases.
const (
	selectExecutions = `SELECT id, pipeline_name, definition_version,
  status, version, attempt, input, error, idempotency_key, open_tasks, unsuccessful_tasks,
  events_removed, outputs_removed_at, logs_removed_at, seal, former_seal, sealed_version, seal_parts, created_at, completed_at, paused_at, deadline_at
FROM {pipeline_executions} WHERE id IN (SELECT id FROM $x) ORDER BY id`
	selectLabels = `SELECT pipeline_execution_id, name, value FROM {execution_labels}
  WHERE pipeline_execution_id IN (SELECT id FROM $x)`
	selectTasks = `SELECT id, pipeline_execution_id, task_name, handler, queue, priority, status,
  sub_status, version, attempt, max_attempts,
  remaining_dependencies, worker_id, retry_at, recoveries, skip_reason, output, error, error_kind, created_at, started_at, completed_at
FROM {task_executions} WHERE pipeline_execution_id IN (SELECT id FROM $x) ORDER BY pipeline_execution_id, id`
	selectEvents = `SELECT sequence_num, id, pipeline_execution_id, task_execution_id, event_type, version, event_data,
  worker_id, actor, created_at
FROM {execution_events} WHERE pipeline_execution_id IN (SELECT id FROM $x) ORDER BY pipeline_execution_id, sequence_num`
	selectOutbox = `SELECT o.task_execution_id, o.handler, t.queue, o.lane, o.available_at, o.created_at
  FROM {task_executions} AS t
JOIN {task_outbox} AS o ON o.task_execution_id = t.id
WHERE t.pipeline_execution_id IN (SELECT id FROM $x) ORDER BY t.pipeline_execution_id, o.task_execution_id`
	selectLogs = `SELECT l.task_execution_id, l.attempt, l.seq, l.stream, l.byte_offset, l.byte_count,
  l.text, l.created_at FROM {task_executions} AS t
JOIN {log_chunks} AS l ON l.task_execution_id = t.id
WHERE t.pipeline_execution_id IN (SELECT id FROM $x) ORDER BY t.pipeline_execution_id, l.task_execution_id,
  l.attempt, l.seq`
)

// label stores a label for the line of its execution, where labels are sorted by name.
func (w *writer) label(scan func(...any) error) error {
	var id dbtype.ID
	var name, value string
	err := scan(&id, &name, &value)
	if w.labels[id] == nil {
		w.labels[id] = map[string]string{}
	}
	w.labels[id][name] = value
	return err
}

func (w *writer) execution(scan func(...any) error) error {
	var e pipelines.Execution
	err := scan(&e.ID, &e.PipelineName, &e.DefinitionVersion, &e.Status, &e.Version, &e.Attempt, &e.Input, &e.Error,
		&e.IdempotencyKey, &e.OpenTasks,
		&e.UnsuccessfulTasks, &e.EventsRemoved, &e.OutputsRemovedAt, &e.LogsRemovedAt, &e.Seal, &e.FormerSeal,
		&e.SealedVersion, &e.SealParts,
		&e.CreatedAt, &e.CompletedAt, &e.PausedAt, &e.DeadlineAt)
	e.Labels = w.labels[e.ID]
	if err == nil {
		err = canonical(&e.Input)
	}
	if err != nil {
		return err
	}
	if !e.Status.Terminal() {
		w.end.Open++
	}
	return w.line(&line{Execution: &e})
}

func (w *writer) task(scan func(...any) error) error {
	var t tasks.Task
	err := scan(&t.ID, &t.PipelineExecutionID, &t.TaskName, &t.Handler, &t.Queue, &t.Priority, &t.Status, &t.SubStatus,
		&t.Version, &t.Attempt,
		&t.MaxAttempts, &t.RemainingDependencies, &t.WorkerID, &t.RetryAt, &t.Recoveries, &t.SkipReason, &t.Output,
		&t.Error, &t.ErrorKind, &t.CreatedAt, &t.StartedAt, &t.CompletedAt)
	if err == nil {
		err = canonical(&t.Output)
	}
	if err != nil {
		return err
	}
	return w.line(&line{Task: &t})
}

func (w *writer) event(scan func(...any) error) error {
	e, err := scanEvent(scan)
	if err != nil {
		return err
	}
	w.end.SequenceNum = max(w.end.SequenceNum, e.SequenceNum)
	return w.line(&line{Event: &e})
}

func scanEvent(scan func(...any) error) (events.Event, error) {
	var e events.Event
	err := scan(&e.SequenceNum, &e.ID, &e.PipelineExecutionID, &e.TaskExecutionID, &e.EventType, &e.Version,
		&e.EventData, &e.WorkerID, &e.Actor, &e.CreatedAt)
	if err == nil {
		err = canonical(&e.EventData)
	}
	return e, err
}

func (w *writer) queued(scan func(...any) error) error {
	var q queued
	if err := scan(&q.TaskExecutionID, &q.Handler, &q.Queue, &q.Lane, &q.AvailableAt, &q.CreatedAt); err != nil {
		return err
	}
	return w.line(&line{Outbox: &q})
}

func (w *writer) log(scan func(...any) error) error {
	var l tasks.Chunk
	if err := scan(&l.TaskExecutionID, &l.Attempt, &l.Seq, &l.Stream, &l.ByteOffset, &l.ByteCount, &l.Text,
		&l.CreatedAt); err != nil {
		return err
	}
	return w.line(&line{Log: &l})
}
