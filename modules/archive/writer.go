package archive

import (
	"bufio"
	"context"
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
func (w *writer) page(ctx context.Context, d *db.DB, ids []dbtype.ID) error {
	if err := w.definitions(ctx, d, ids); err != nil {
		return err
	}
	args := db.Args{"x": db.IDRows(ids)}
	w.labels = map[dbtype.ID]map[string]string{}
	for _, part := range []struct {
		what, statement string
		row             func(db.Scan) error
	}{
		{"labels", selectLabels, w.label},
		{"executions", selectExecutions, w.execution},
		{"tasks", selectTasks, w.task},
		{"events", selectEvents, w.event},
		{"the outbox", selectOutbox, w.queued},
		{"logs", selectLogs, w.log},
	} {
		if err := d.Query(ctx, part.statement, args, part.row); err != nil {
			return fmt.Errorf("export %s: %w", part.what, err)
		}
	}
	return nil
}

// The statements of a page. Each has an order that is the same on both databases.
var (
	selectExecutions = `SELECT ` + executionTable.Columns("") + `
FROM {pipeline_executions} WHERE id IN (SELECT id FROM $x) ORDER BY id`
	selectLabels = `SELECT ` + labelTable.Columns("") + ` FROM {execution_labels}
  WHERE pipeline_execution_id IN (SELECT id FROM $x)`
	selectTasks = `SELECT ` + taskTable.Columns("") + `
FROM {task_executions} WHERE pipeline_execution_id IN (SELECT id FROM $x) ORDER BY pipeline_execution_id, id`
	selectEvents = `SELECT ` + eventTable.Columns("") + `
FROM {execution_events} WHERE pipeline_execution_id IN (SELECT id FROM $x) ORDER BY pipeline_execution_id, sequence_num`
	selectOutbox = `SELECT ` + outboxTable.Columns("o") + ` FROM {task_executions} AS t
JOIN {task_outbox} AS o ON o.task_execution_id = t.id
WHERE t.pipeline_execution_id IN (SELECT id FROM $x) ORDER BY t.pipeline_execution_id, o.task_execution_id`
	selectLogs = `SELECT ` + logTable.Columns("l") + ` FROM {task_executions} AS t
JOIN {log_chunks} AS l ON l.task_execution_id = t.id
WHERE t.pipeline_execution_id IN (SELECT id FROM $x) ORDER BY t.pipeline_execution_id, l.task_execution_id,
  l.attempt, l.seq`
)

// label stores a label for the line of its execution, where labels are sorted by name.
func (w *writer) label(scan db.Scan) error {
	var l label
	err := labelTable.Scan(&l, scan)
	if w.labels[l.PipelineExecutionID] == nil {
		w.labels[l.PipelineExecutionID] = map[string]string{}
	}
	w.labels[l.PipelineExecutionID][l.Name] = l.Value
	return err
}

func (w *writer) execution(scan db.Scan) error {
	var e pipelines.Execution
	err := executionTable.Scan(&e, scan)
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

func (w *writer) task(scan db.Scan) error {
	var t tasks.Task
	err := taskTable.Scan(&t, scan)
	if err == nil {
		err = canonical(&t.Output)
	}
	if err != nil {
		return err
	}
	return w.line(&line{Task: &t})
}

func (w *writer) event(scan db.Scan) error {
	e, err := scanEvent(scan)
	if err != nil {
		return err
	}
	w.end.SequenceNum = max(w.end.SequenceNum, e.SequenceNum)
	return w.line(&line{Event: &e})
}

func scanEvent(scan db.Scan) (events.Event, error) {
	var e events.Event
	err := eventTable.Scan(&e, scan)
	if err == nil {
		err = canonical(&e.EventData)
	}
	return e, err
}

func (w *writer) queued(scan db.Scan) error {
	var q queued
	if err := outboxTable.Scan(&q, scan); err != nil {
		return err
	}
	return w.line(&line{Outbox: &q})
}

func (w *writer) log(scan db.Scan) error {
	var l tasks.Chunk
	if err := logTable.Scan(&l, scan); err != nil {
		return err
	}
	return w.line(&line{Log: &l})
}
