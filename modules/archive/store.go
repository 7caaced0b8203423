package archive

import (
	"fmt"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// batch is a set of rows of one table that are written together.
type batch struct {
	rows        int
	definitions []*engine.StoredDefinition
	executions  []*pipelines.Execution
	tasks       []*tasks.Task
	events      []*events.Event
	outbox      []*queued
	logs        []*tasks.Chunk

	registered map[string]bool // pipelines with a registered definition before the import
}

func (b *batch) add(l *line) {
	b.rows++
	switch {
	case l.Definition != nil:
		l.Definition.Definition = stored(l.Definition.Definition)
		b.definitions = append(b.definitions, l.Definition)
	case l.Execution != nil:
		l.Execution.Input = stored(l.Execution.Input)
		b.executions = append(b.executions, l.Execution)
	case l.Task != nil:
		l.Task.Output = stored(l.Task.Output)
		b.tasks = append(b.tasks, l.Task)
	case l.Event != nil:
		l.Event.EventData = stored(l.Event.EventData)
		b.events = append(b.events, l.Event)
	case l.Outbox != nil:
		b.outbox = append(b.outbox, l.Outbox)
	case l.Log != nil:
		b.logs = append(b.logs, l.Log)
	}
}

// of returns one column of the rows.
func of[T, V any](list []*T, get func(*T) V) []V {
	out := make([]V, len(list))
	for i, x := range list {
		out[i] = get(x)
	}
	return out
}

// stored returns the value of a JSON column. The document null is stored as NULL.
func stored(j dbtype.JSON) dbtype.JSON {
	if string(j) == "null" {
		return nil
	}
	return j
}

// registeredAt returns the registration time to store, so that an import does not change which definition `start
// NAME` uses. If the database already has a registered definition of the name, that one stays the newest. No
// definition is registered in the future.
func (b *batch) registeredAt(d *engine.StoredDefinition, now dbtype.Time) dbtype.Time {
	switch {
	case b.registered[d.PipelineName]:
		return dbtype.Time{}
	case d.RegisteredAt.After(now.Time):
		return now
	}
	return d.RegisteredAt
}

// free checks that the database has none of the executions and none of their idempotency keys. It fails with
// ErrExists.
func free(tx db.Tx, list []*pipelines.Execution) error {
	set := db.IDRows(of(list, func(e *pipelines.Execution) dbtype.ID { return e.ID })).
		Texts("name", of(list, func(e *pipelines.Execution) string { return e.PipelineName })).
		NullTexts("key", of(list, func(e *pipelines.Execution) string { return string(e.IdempotencyKey) }))
	var taken error
	err := tx.Query(`SELECT p.id FROM $x JOIN {pipeline_executions} AS p ON p.id = x.id`, db.Args{"x": set},
		func(scan db.Scan) error {
			var id dbtype.ID
			err := scan(&id)
			taken = fmt.Errorf("pipeline execution %s %w", id, ErrExists)
			return err
		})
	if err != nil || taken != nil {
		return first(err, taken)
	}
	err = tx.Query(`SELECT p.pipeline_name, p.idempotency_key FROM $x JOIN {pipeline_executions} AS p
ON p.pipeline_name = x.name AND p.idempotency_key = x.key AND p.idempotency_key IS NOT NULL`, db.Args{"x": set},
		func(scan db.Scan) error {
			var name, key string
			err := scan(&name, &key)
			taken = fmt.Errorf("the idempotency key %q of pipeline %q %w", key, name, ErrExists)
			return err
		})
	return first(err, taken)
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
