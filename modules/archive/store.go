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
		b.definitions = append(b.definitions, l.Definition)
	case l.Execution != nil:
		b.executions = append(b.executions, l.Execution)
	case l.Task != nil:
		b.tasks = append(b.tasks, l.Task)
	case l.Event != nil:
		b.events = append(b.events, l.Event)
	case l.Outbox != nil:
		b.outbox = append(b.outbox, l.Outbox)
	case l.Log != nil:
		b.logs = append(b.logs, l.Log)
	}
}

// write inserts the rows as they are in the file. It never changes existing rows.
func (b *batch) write(tx db.Tx, base int64) error {
	for _, part := range []struct {
		what  string
		rows  int
		write func(tx db.Tx) (int64, error)
	}{
		{"definitions", 0, b.writeDefinitions}, // existing definitions are kept
		{"executions", len(b.executions), b.writeExecutions},
		{"labels", 0, b.writeLabels},
		{"tasks", len(b.tasks), b.writeTasks},
		{"events", len(b.events), func(tx db.Tx) (int64, error) { return b.writeEvents(tx, base) }},
		{"the outbox", len(b.outbox), b.writeOutbox},
		{"logs", len(b.logs), b.writeLogs},
	} {
		n, err := part.write(tx)
		if err == nil && part.rows > 0 && n != int64(part.rows) {
			err = fmt.Errorf("%d of %d rows were written", n, part.rows)
		}
		if err != nil {
			return fmt.Errorf("import %s: %w", part.what, err)
		}
	}
	return nil
}

// of returns one column of the rows.
func of[T, V any](list []*T, get func(*T) V) []V {
	out := make([]V, len(list))
	for i, x := range list {
		out[i] = get(x)
	}
	return out
}

// document returns the value of a JSON column. null becomes the empty string, which is stored as NULL.
func document(j dbtype.JSON) string {
	if string(j) == "null" {
		return ""
	}
	return string(j)
}

func optional(n *int64) int64 {
	if n == nil {
		return 0
	}
	return *n
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

func (b *batch) writeDefinitions(tx db.Tx) (int64, error) {
	type D = engine.StoredDefinition
	l := b.definitions
	set := db.NewRowSet(len(l)).Texts("name", of(l, func(d *D) string { return d.PipelineName })).
		Texts("version", of(l, func(d *D) string { return d.Version })).
		JSONs("definition", of(l, func(d *D) string { return document(d.Definition) })).
		Times("registered_at", of(l, func(d *D) dbtype.Time { return b.registeredAt(d, tx.Now) }))
	return tx.Exec(`INSERT INTO {pipeline_definitions} (pipeline_name, version, definition, registered_at)
SELECT x.name, x.version, x.definition, x.registered_at FROM $x WHERE true
  ON CONFLICT (pipeline_name, version) DO NOTHING`, db.Args{"x": set})
}

func (b *batch) writeExecutions(tx db.Tx) (int64, error) {
	type E = pipelines.Execution
	l := b.executions
	if err := free(tx, l); err != nil {
		return 0, err
	}
	set := db.IDRows(of(l, func(e *E) dbtype.ID { return e.ID })).
		Texts("pipeline_name", of(l, func(e *E) string { return e.PipelineName })).
		Texts("definition_version", of(l, func(e *E) string { return e.DefinitionVersion })).
		Texts("status", of(l, func(e *E) string { return string(e.Status) })).
		Ints("version", of(l, func(e *E) int64 { return e.Version })).
		Ints("attempt", of(l, func(e *E) int64 { return int64(e.Attempt) })).
		JSONs("input", of(l, func(e *E) string { return document(e.Input) })).
		NullTexts("error", of(l, func(e *E) string { return string(e.Error) })).
		NullTexts("idempotency_key", of(l, func(e *E) string { return string(e.IdempotencyKey) })).
		Ints("open_tasks", of(l, func(e *E) int64 { return int64(e.OpenTasks) })).
		Ints("unsuccessful_tasks", of(l, func(e *E) int64 { return int64(e.UnsuccessfulTasks) })).
		Ints("events_removed", of(l, func(e *E) int64 { return e.EventsRemoved })).
		Times("outputs_removed_at", of(l, func(e *E) dbtype.Time { return e.OutputsRemovedAt })).
		Times("logs_removed_at", of(l, func(e *E) dbtype.Time { return e.LogsRemovedAt })).
		NullTexts("seal", of(l, func(e *E) string { return string(e.Seal) })).
		NullTexts("former_seal", of(l, func(e *E) string { return string(e.FormerSeal) })).
		NullTexts("seal_parts", of(l, func(e *E) string { return string(e.SealParts) })).
		NullInts("sealed_version", of(l, func(e *E) int64 { return optional(e.SealedVersion) })).
		Times("created_at", of(l, func(e *E) dbtype.Time { return e.CreatedAt })).
		Times("completed_at", of(l, func(e *E) dbtype.Time { return e.CompletedAt })).
		Times("paused_at", of(l, func(e *E) dbtype.Time { return e.PausedAt })).
		Times("deadline_at", of(l, func(e *E) dbtype.Time { return e.DeadlineAt }))
	return tx.Exec(`INSERT INTO {pipeline_executions} (id, pipeline_name, definition_version, status,
  version, attempt, input, error, idempotency_key, open_tasks,
  unsuccessful_tasks, events_removed, outputs_removed_at, logs_removed_at, seal, former_seal, sealed_version, seal_parts,
  created_at, completed_at, paused_at, deadline_at)
SELECT x.id, x.pipeline_name, x.definition_version, x.status, x.version, x.attempt, x.input,
  x.error, x.idempotency_key, x.open_tasks,
  x.unsuccessful_tasks, x.events_removed, x.outputs_removed_at, x.logs_removed_at, x.seal, x.former_seal, x.sealed_version, x.seal_parts, x.created_at,
  x.completed_at, x.paused_at, x.deadline_at FROM $x`, db.Args{"x": set})
}

func (b *batch) writeLabels(tx db.Tx) (int64, error) {
	var ids []dbtype.ID
	var names, values []string
	for _, e := range b.executions {
		for name, value := range e.Labels {
			ids, names, values = append(ids, e.ID), append(names, name), append(values, value)
		}
	}
	if len(ids) == 0 {
		return 0, nil
	}
	return tx.Exec(`INSERT INTO {execution_labels} (name, value, pipeline_execution_id) SELECT x.name, x.value, x.id
  FROM $x`,
		db.Args{"x": db.IDRows(ids).Texts("name", names).Texts("value", values)})
}

// free checks that the database has none of the executions and none of their idempotency keys. It fails with
// ErrExists.
func free(tx db.Tx, list []*pipelines.Execution) error {
	set := db.IDRows(of(list, func(e *pipelines.Execution) dbtype.ID { return e.ID })).
		Texts("name", of(list, func(e *pipelines.Execution) string { return e.PipelineName })).
		NullTexts("key", of(list, func(e *pipelines.Execution) string { return string(e.IdempotencyKey) }))
	var taken error
	err := tx.Query(`SELECT p.id FROM $x JOIN {pipeline_executions} AS p ON p.id = x.id`, db.Args{"x": set},
		func(scan func(...any) error) error {
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
		func(scan func(...any) error) error {
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
