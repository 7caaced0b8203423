package eventstore

import (
	"context"
	"errors"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

const (
	pageSpan     = 50_000  // numbers that one statement covers, however few of their events are selected
	maxPageBytes = 4 << 20 // bytes of event_data in a batch, exceeded by at most one event
)

// errEnough ends a statement whose rows have filled the batch.
var errEnough = errors.New("enough")

// read returns the next settled events, and advances the position.
func (t *tail) read(ctx context.Context) ([]TailedEvent, error) {
	upTo := min(t.safe, t.scanned+pageSpan)
	where, args := t.options.Filter.where()
	args["after"], args["up_to"], args["limit"] = t.scanned, upTo, t.options.Batch
	var list []TailedEvent
	size := 0
	err := t.watermark.Query(ctx,
		`SELECT sequence_num, id, pipeline_execution_id, task_execution_id, event_type, version, event_data,
  worker_id, actor, created_at FROM {execution_events}
WHERE sequence_num > $after AND sequence_num <= $up_to`+where+` ORDER BY sequence_num LIMIT $limit`, args,
		func(scan db.Scan) error {
			if size >= maxPageBytes {
				return errEnough
			}
			var e events.Event
			if err := scan(&e.SequenceNum, &e.ID, &e.PipelineExecutionID, &e.TaskExecutionID, &e.EventType, &e.Version,
				&e.EventData,
				&e.WorkerID, &e.Actor, &e.CreatedAt); err != nil {
				return err
			}
			list, size = append(list, TailedEvent{e, cursorAt(t.history, e)}), size+len(e.EventData)
			return nil
		})
	full := errors.Is(err, errEnough) || len(list) == t.options.Batch
	if err != nil && !full {
		return nil, db.Wrap("read the tail of events", err)
	}
	n := len(list)
	switch {
	case full:
		upTo, t.cursor = list[n-1].SequenceNum, list[n-1].Cursor
	case where != "":
		if err := t.pass(ctx, upTo); err != nil {
			return nil, err
		}
	case n > 0:
		t.cursor = list[n-1].Cursor
	}
	t.scanned = upTo
	return list, nil
}

// pass advances the position to the last event up to a number, whether or not the filter selects it.
func (t *tail) pass(ctx context.Context, upTo int64) error {
	err := t.watermark.Query(ctx, `SELECT sequence_num, id, pipeline_execution_id, created_at FROM {execution_events}
WHERE sequence_num > $after AND sequence_num <= $up_to ORDER BY sequence_num DESC LIMIT 1`,
		db.Args{"after": t.cursor.sequence, "up_to": upTo}, func(scan db.Scan) error {
			var e events.Event
			err := scan(&e.SequenceNum, &e.ID, &e.PipelineExecutionID, &e.CreatedAt)
			t.cursor = cursorAt(t.history, e)
			return err
		})
	return db.Wrap("read the place of the tail", err)
}

// where returns the filter as SQL that extends another condition. It is empty if the filter selects all.
func (f Filter) where() (string, db.Args) {
	text, args := "", db.Args{}
	if !f.PipelineExecutionID.IsZero() {
		text, args["pipeline"] = text+` AND pipeline_execution_id = $pipeline`, f.PipelineExecutionID
	}
	if !f.TaskExecutionID.IsZero() {
		text, args["task"] = text+` AND task_execution_id = $task
  AND pipeline_execution_id = (SELECT pipeline_execution_id FROM {task_executions} WHERE id = $task)`, f.TaskExecutionID
	}
	if f.EventType != "" {
		text, args["type"] = text+` AND event_type = $type`, string(f.EventType)
	}
	if !f.Since.IsZero() {
		text, args["since"] = text+` AND created_at >= $since`, f.Since
	}
	return text, args
}

// check returns an error unless the position belongs to this history: its event exists, or retention has removed it.
func (t *tail) check(ctx context.Context) error {
	c := t.cursor
	switch {
	case c.IsZero():
		return nil
	case c.history != t.history:
		return c.mismatch("it was made for another server, database, tenant or table, or for this one before it was " +
			"restored from a dump")
	}
	var id dbtype.ID
	err := t.watermark.Query(ctx, `SELECT id FROM {execution_events} WHERE sequence_num = $n`, db.Args{"n": c.sequence},
		func(scan db.Scan) error { return scan(&id) })
	switch {
	case err != nil:
		return db.Wrap("look for the cursor's event", err)
	case !id.IsZero() && eventTagOf(id) == c.eventTag:
		return nil
	case !id.IsZero():
		return c.mismatch("there is another event in the place of its own, so the database was restored from an " +
			"older copy and has gone on from there")
	}
	var removed bool // of the execution's events, or of the whole execution
	err = t.watermark.Query(ctx, `SELECT CASE WHEN p.id IS NULL THEN r.up_to >= $n ELSE p.events_removed > 0 END
FROM {removed_events} AS r LEFT JOIN {pipeline_executions} AS p ON p.id = $pipeline`,
		db.Args{"pipeline": c.pipeline, "n": c.sequence},
		func(scan db.Scan) error { return scan(&removed) })
	switch {
	case err != nil:
		return db.Wrap("look for the cursor's execution", err)
	case !removed:
		return c.mismatch("its event is not there and retention has not removed it, so the database was restored " +
			"from an older copy")
	}
	return nil
}
