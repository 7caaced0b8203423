package archive

import (
	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

func (b *batch) writeTasks(tx db.Tx) (int64, error) {
	type T = tasks.Task
	l := b.tasks
	set := db.IDRows(of(l, func(t *T) dbtype.ID { return t.ID })).
		IDs("pipeline_execution_id", of(l, func(t *T) dbtype.ID { return t.PipelineExecutionID })).
		Texts("task_name", of(l, func(t *T) string { return t.TaskName })).
		Texts("handler", of(l, func(t *T) string { return t.Handler })).
		Texts("queue", of(l, func(t *T) string { return t.Queue })).
		Ints("priority", of(l, func(t *T) int64 { return int64(t.Priority) })).
		Texts("status", of(l, func(t *T) string { return string(t.Status) })).
		NullTexts("sub_status", of(l, func(t *T) string { return string(t.SubStatus) })).
		Ints("version", of(l, func(t *T) int64 { return t.Version })).
		Ints("attempt", of(l, func(t *T) int64 { return int64(t.Attempt) })).
		Ints("max_attempts", of(l, func(t *T) int64 { return int64(t.MaxAttempts) })).
		Ints("remaining_dependencies", of(l, func(t *T) int64 { return int64(t.RemainingDependencies) })).
		NullTexts("worker_id", of(l, func(t *T) string { return string(t.WorkerID) })).
		Times("retry_at", of(l, func(t *T) dbtype.Time { return t.RetryAt })).
		Ints("recoveries", of(l, func(t *T) int64 { return int64(t.Recoveries) })).
		NullTexts("skip_reason", of(l, func(t *T) string { return string(t.SkipReason) })).
		JSONs("output", of(l, func(t *T) string { return document(t.Output) })).
		NullTexts("error", of(l, func(t *T) string { return string(t.Error) })).
		NullTexts("error_kind", of(l, func(t *T) string { return string(t.ErrorKind) })).
		Times("created_at", of(l, func(t *T) dbtype.Time { return t.CreatedAt })).
		Times("started_at", of(l, func(t *T) dbtype.Time { return t.StartedAt })).
		Times("completed_at", of(l, func(t *T) dbtype.Time { return t.CompletedAt }))
	n, err := tx.Exec(`INSERT INTO {task_executions} (id, pipeline_execution_id, task_name, handler,
  queue, priority, status, sub_status, version, attempt,
  max_attempts, remaining_dependencies, worker_id, retry_at, recoveries, skip_reason, output, error, error_kind, created_at, started_at, completed_at)
SELECT x.id, x.pipeline_execution_id, x.task_name, x.handler, x.queue, x.priority, x.status,
  x.sub_status, x.version, x.attempt,
  x.max_attempts, x.remaining_dependencies, x.worker_id, x.retry_at, x.recoveries, x.skip_reason,
  x.output, x.error, x.error_kind, x.created_at, x.started_at, x.completed_at FROM $x`,
		db.Args{"x": set})
	if err != nil {
		return 0, err
	}
	return n, abandonOpen(tx, l)
}

// abandonOpen inserts the workers that hold imported running tasks, with an expired lease. Those workers run elsewhere.
// The recovery that every worker performs then takes the tasks back, with an event, before they run again.
func abandonOpen(tx db.Tx, list []*tasks.Task) error {
	seen := map[string]bool{}
	var names []string
	for _, t := range list {
		if name := string(t.WorkerID); t.Status == tasks.Running && name != "" && !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	_, err := tx.Exec(`INSERT INTO {workers} (id, hostname, pid, slots, handlers, started_at, lease_expires_at)
SELECT x.id, 'imported', 0, 0, '', $now, $now FROM $x WHERE true ON CONFLICT (id) DO NOTHING`,
		db.Args{"x": db.NewRowSet(len(names)).Texts("id", names), "now": tx.Now})
	return err
}

func (b *batch) writeEvents(tx db.Tx, base int64) (int64, error) {
	type E = events.Event
	l := b.events
	if len(l) > 0 {
		tx.CommitProbe("execution_events", "pipeline_execution_id", l[0].PipelineExecutionID, l[0].ID)
	}
	set := db.IDRows(of(l, func(e *E) dbtype.ID { return e.ID })).
		Ints("sequence_num", of(l, func(e *E) int64 { return base + e.SequenceNum })).
		IDs("pipeline_execution_id", of(l, func(e *E) dbtype.ID { return e.PipelineExecutionID })).
		NullIDs("task_execution_id", of(l, func(e *E) dbtype.ID { return e.TaskExecutionID })).
		Texts("event_type", of(l, func(e *E) string { return string(e.EventType) })).
		NullInts("version", of(l, func(e *E) int64 { return optional(e.Version) })).
		JSONs("event_data", of(l, func(e *E) string { return document(e.EventData) })).
		NullTexts("worker_id", of(l, func(e *E) string { return string(e.WorkerID) })).
		NullTexts("actor", of(l, func(e *E) string { return string(e.Actor) })).
		Times("created_at", of(l, func(e *E) dbtype.Time { return e.CreatedAt }))
	return tx.Exec(`INSERT INTO {execution_events} (sequence_num, id, pipeline_execution_id, task_execution_id,
  event_type, version, event_data, worker_id,
  actor, created_at) $given_numbers
SELECT x.sequence_num, x.id, x.pipeline_execution_id, x.task_execution_id, x.event_type, x.version,
  x.event_data, x.worker_id, x.actor, x.created_at
FROM $x`, db.Args{"x": set})
}

func (b *batch) writeOutbox(tx db.Tx) (int64, error) {
	type Q = queued
	l := b.outbox
	set := db.IDRows(of(l, func(q *Q) dbtype.ID { return q.TaskExecutionID })).
		Texts("handler", of(l, func(q *Q) string { return q.Handler })).
		Texts("queue", of(l, func(q *Q) string { return q.Queue })).
		Ints("lane", of(l, func(q *Q) int64 { return int64(q.Lane) })).
		Times("available_at", of(l, func(q *Q) dbtype.Time { return q.AvailableAt })).
		Times("created_at", of(l, func(q *Q) dbtype.Time { return q.CreatedAt }))
	return tx.Exec(`INSERT INTO {task_outbox} (task_execution_id, handler, queue, lane, available_at, created_at)
SELECT x.id, x.handler, x.queue, x.lane, x.available_at, x.created_at FROM $x`, db.Args{"x": set})
}

func (b *batch) writeLogs(tx db.Tx) (int64, error) {
	type L = tasks.Chunk
	l := b.logs
	set := db.IDRows(of(l, func(x *L) dbtype.ID { return x.TaskExecutionID })).
		Ints("attempt", of(l, func(x *L) int64 { return int64(x.Attempt) })).
		Ints("seq", of(l, func(x *L) int64 { return x.Seq })).
		Texts("stream", of(l, func(x *L) string { return string(x.Stream) })).
		Ints("byte_offset", of(l, func(x *L) int64 { return x.ByteOffset })).
		Ints("byte_count", of(l, func(x *L) int64 { return int64(x.ByteCount) })).
		Texts("text", of(l, func(x *L) string { return x.Text })).
		Times("created_at", of(l, func(x *L) dbtype.Time { return x.CreatedAt }))
	return tx.Exec(`INSERT INTO {log_chunks} (task_execution_id, attempt, seq, stream, byte_offset, byte_count,
  text, created_at)
SELECT x.id, x.attempt, x.seq, x.stream, x.byte_offset, x.byte_count, x.text, x.created_at FROM $x`, db.Args{"x": set})
}
