package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"gorm.io/gorm"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/events/eventstore"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// errVersionConflict means that a row changed between the read and the write. The transaction is rolled back.
var errVersionConflict = errors.New("pipeline execution changed since it was read")

// Repository reads pipeline executions and applies changes to them.
type Repository struct {
	db       *db.DB
	events   *eventstore.Repository
	watchers *watchers
}

// NewRepository returns a repository that uses the database d.
func NewRepository(d *db.DB, e *eventstore.Repository) *Repository {
	return &Repository{db: d, events: e, watchers: &watchers{}}
}

// insert inserts new executions, their labels and their first events. It omits an execution if its idempotency key is
// in use. The result has true for the ids that were inserted.
func (r *Repository) insert(tx db.Tx, moves []*pipelines.Change) (map[dbtype.ID]bool, error) {
	n := len(moves)
	ids, names, versions := make([]dbtype.ID, n), make([]string, n), make([]string, n)
	inputs, keys, open := make([]string, n), make([]string, n), make([]int64, n)
	for i, m := range moves {
		e := &m.Execution
		ids[i], names[i], versions[i] = e.ID, e.PipelineName, e.DefinitionVersion
		inputs[i], keys[i], open[i] = string(e.Input), string(e.IdempotencyKey), int64(e.OpenTasks)
	}
	set := db.IDRows(ids).WriteOnly().Texts("name", names).Texts("definition_version", versions).JSONs("input", inputs).
		NullTexts("idempotency_key", keys).Ints("open_tasks", open)
	written, keyed := make(map[dbtype.ID]bool, n), false
	for i, id := range ids {
		written[id], keyed = keys[i] == "", keyed || keys[i] != ""
	}
	reserved := "NULL"
	if slices.ContainsFunc(moves, func(m *pipelines.Change) bool { return m.Execution.ReservedFor != "" }) {
		workers := make([]string, n)
		for i, m := range moves {
			workers[i] = string(m.Execution.ReservedFor)
		}
		set.NullTexts("reserved_for", workers)
		reserved = "x.reserved_for"
	}
	deadline := "NULL"
	if slices.ContainsFunc(moves, func(m *pipelines.Change) bool { return !m.Execution.DeadlineAt.IsZero() }) {
		set.Times("deadline_at", deadlines(moves))
		deadline = "x.deadline_at"
	}
	statement, args := `INSERT INTO {pipeline_executions} (id, pipeline_name, definition_version, status,
  version, input, idempotency_key,
  open_tasks, unsuccessful_tasks, reserved_for, deadline_at, created_at)
SELECT x.id, x.name, x.definition_version, 'Running', 1, x.input, x.idempotency_key,
  x.open_tasks, 0, `+reserved+`, `+deadline+`, $now
FROM $x WHERE true $keep_plan`, db.Args{"x": set, "now": tx.Now}
	var err error
	if keyed {
		err = tx.Query(statement+
			` ON CONFLICT (pipeline_name, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING RETURNING id`,
			args, func(scan func(...any) error) error {
				var id dbtype.ID
				err := scan(&id)
				written[id] = true
				return err
			})
	} else {
		err = tx.QueueExec("insert pipeline executions", statement, args)
	}
	if err != nil {
		return nil, wrap("insert pipeline executions", err)
	}
	fresh := slices.DeleteFunc(slices.Clone(moves), func(m *pipelines.Change) bool { return !written[m.Execution.ID] })
	if err := r.label(tx, fresh); err != nil {
		return nil, err
	}
	return written, r.appendEvents(tx, fresh)
}

// apply writes changes. It updates the rows that still have the versions that were read, and appends one event for each
// change. If a row has another version, the transaction ends with errVersionConflict when the batch is sent.
func (r *Repository) apply(tx db.Tx, moves []*pipelines.Change) error {
	if len(moves) == 0 {
		return nil
	}
	slices.SortFunc(moves,
		func(a, b *pipelines.Change) int { return bytes.Compare(a.Execution.ID[:], b.Execution.ID[:]) })
	n := len(moves)
	ids, versions, statuses, failures := make([]dbtype.ID, n), make([]int64, n), make([]string, n), make([]string, n)
	open, unsuccessful, completed, paused := make([]int64, n), make([]int64, n), make([]dbtype.Time, n),
		make([]dbtype.Time, n)
	for i, m := range moves {
		if err := m.Err(); err != nil {
			return err
		}
		e := &m.Execution
		ids[i], versions[i], statuses[i], failures[i] = e.ID, e.Version, string(e.Status), string(e.Error)
		open[i], unsuccessful[i], completed[i], paused[i] = int64(e.OpenTasks), int64(e.UnsuccessfulTasks),
			e.CompletedAt, e.PausedAt
	}
	set := db.IDRows(ids).Ints("version", versions).WriteOnly().Texts("status", statuses).NullTexts("error", failures).
		Ints("open_tasks", open).Ints("unsuccessful_tasks", unsuccessful).Times("completed_at", completed).
		Times("paused_at", paused)
	attempt, deadline := "", "CASE WHEN x.completed_at IS NULL THEN p.deadline_at END"
	if slices.ContainsFunc(moves,
		func(m *pipelines.Change) bool { return m.Transition.Name == pipelines.TransitionRestart.Name }) {
		attempts := make([]int64, n)
		for i, m := range moves {
			attempts[i] = int64(m.Execution.Attempt)
		}
		set.Ints("attempt", attempts).Times("deadline_at", deadlines(moves))
		// A transaction with restarts writes no other transitions.
		attempt, deadline = ", attempt = x.attempt", "x.deadline_at"
	}
	err := tx.QueueExpect("write pipeline executions",
		`UPDATE {pipeline_executions} AS p SET status = x.status, version = x.version, error = x.error`+attempt+`,
  open_tasks = x.open_tasks, unsuccessful_tasks = x.unsuccessful_tasks, completed_at = x.completed_at, paused_at = x.paused_at,
  reserved_for = CASE WHEN x.completed_at IS NULL THEN p.reserved_for END, deadline_at = `+deadline+`,
  seal_due = CASE WHEN x.completed_at IS NOT NULL AND EXISTS (SELECT 1 FROM {chores} AS c
  WHERE c.name = 'seal') THEN 1 ELSE 0 END
FROM $x WHERE p.id = x.id AND p.version = x.version - 1 $keep_plan_of_one`,
		db.Args{"x": set}, int64(n),
		func(int64) error { return fmt.Errorf("write pipeline executions: %w", errVersionConflict) })
	if err != nil {
		return err
	}
	if err := r.appendEvents(tx, moves); err != nil {
		return err
	}
	return r.reportEnds(tx, moves)
}

func (r *Repository) appendEvents(tx db.Tx, moves []*pipelines.Change) error {
	list := make([]events.Event, len(moves))
	for i, m := range moves {
		e, err := m.Event()
		if err != nil {
			return err
		}
		list[i] = e
	}
	r.events.Append(tx, list)
	return nil
}

// writeCounters writes the counters of executions that have no transition in this transaction.
func (r *Repository) writeCounters(tx db.Tx, list []pipelines.Execution) error {
	ids, open, unsuccessful := make([]dbtype.ID, len(list)), make([]int64, len(list)), make([]int64, len(list))
	for i, e := range list {
		ids[i], open[i], unsuccessful[i] = e.ID, int64(e.OpenTasks), int64(e.UnsuccessfulTasks)
	}
	return tx.QueueExec("count tasks",
		`UPDATE {pipeline_executions} AS p SET open_tasks = x.open_tasks, unsuccessful_tasks = x.unsuccessful_tasks
FROM $x WHERE p.id = x.id`,
		db.Args{"x": db.IDRows(ids).Ints("open_tasks", open).Ints("unsuccessful_tasks", unsuccessful)})
}

const fields = `id, pipeline_name, definition_version, status, version, attempt, error, open_tasks, unsuccessful_tasks, events_removed,
  outputs_removed_at, reserved_for, created_at, completed_at, paused_at, deadline_at`

func scanExecution(e *pipelines.Execution, scan func(...any) error) error {
	return scan(&e.ID, &e.PipelineName, &e.DefinitionVersion, &e.Status, &e.Version, &e.Attempt, &e.Error, &e.OpenTasks,
		&e.UnsuccessfulTasks,
		&e.EventsRemoved, &e.OutputsRemovedAt, &e.ReservedFor, &e.CreatedAt, &e.CompletedAt, &e.PausedAt, &e.DeadlineAt)
}

// lock returns executions without their inputs, and locks their rows in the order of their ids. Executions that do not
// exist are omitted. Everything that inserts or deletes outbox rows of an execution, apart from a claim, holds this
// lock, so pauses, completions and recoveries are serialized.
func (r *Repository) lock(tx db.Tx, ids []dbtype.ID) (map[dbtype.ID]pipelines.Execution, error) {
	out := make(map[dbtype.ID]pipelines.Execution, len(ids))
	err := r.queueLock(tx, ids, out)
	if err == nil {
		err = tx.SendBatch()
	}
	return out, err
}

// queueLock queues the query of lock. It adds the executions to out when the batch is sent.
func (r *Repository) queueLock(tx db.Tx, ids []dbtype.ID, out map[dbtype.ID]pipelines.Execution) error {
	return tx.QueueQuery("lock pipeline executions", `SELECT `+fields+
		` FROM {pipeline_executions} WHERE id IN (SELECT x.execution FROM $x) ORDER BY id $for_update`,
		db.Args{"x": db.NewRowSet(len(ids)).IDs("execution", ids)}, func(scan func(...any) error) error {
			var e pipelines.Execution
			err := scanExecution(&e, scan)
			out[e.ID] = e
			return err
		})
}

// lockAndDecrement is queueLock for groups of outcomes. In the same statement it subtracts the successful tasks from
// open_tasks, because most exchanges change nothing else of the execution. out gets the counters before the decrement,
// and stored those after it. The executions in out have only the columns that outcomes need.
func (r *Repository) lockAndDecrement(
	tx db.Tx, groups []*executionOutcomes, out map[dbtype.ID]pipelines.Execution, stored map[dbtype.ID]counts,
) error {
	groups = slices.Clone(groups)
	slices.SortFunc(groups, func(a, b *executionOutcomes) int { return bytes.Compare(a.id[:], b.id[:]) })
	ids, done := make([]dbtype.ID, len(groups)), make([]int64, len(groups))
	byID := make(map[dbtype.ID]*executionOutcomes, len(groups))
	for i, g := range groups {
		ids[i], done[i], byID[g.id] = g.id, g.succeeded(), g
	}
	set := db.NewRowSet(len(ids)).IDs("execution", ids).WriteOnly().Ints("done", done)
	return tx.QueueQuery("lock pipeline executions",
		`UPDATE {pipeline_executions} SET open_tasks = open_tasks - x.done FROM $x
  WHERE id = x.execution $keep_plan_of_one
RETURNING id, pipeline_name, definition_version, status, version, attempt, open_tasks, unsuccessful_tasks, reserved_for, created_at`, db.Args{"x": set}, func(scan func(...any) error) error {
			var e pipelines.Execution
			err := scan(&e.ID, &e.PipelineName, &e.DefinitionVersion, &e.Status, &e.Version, &e.Attempt, &e.OpenTasks,
				&e.UnsuccessfulTasks, &e.ReservedFor, &e.CreatedAt)
			stored[e.ID] = counts{e.OpenTasks, e.UnsuccessfulTasks}
			e.OpenTasks += int(byID[e.ID].succeeded())
			out[e.ID] = e
			return err
		})
}

// queueLoadInputs queues a query for what a claim needs of the executions of tasks: name, definition version, attempt
// and input. It adds the executions to out when the batch is sent.
func (r *Repository) queueLoadInputs(tx db.Tx, tasks []dbtype.ID, out map[dbtype.ID]pipelines.Execution) error {
	return tx.QueueQuery("read inputs",
		`SELECT p.id, p.pipeline_name, p.definition_version, p.attempt, p.input FROM {pipeline_executions} AS p
WHERE p.id IN (SELECT t.pipeline_execution_id FROM $x JOIN {task_executions} AS t ON t.id = x.id)`,
		db.Args{"x": db.IDRows(tasks)}, scanInput(out))
}

func scanInput(out map[dbtype.ID]pipelines.Execution) func(scan func(...any) error) error {
	return func(scan func(...any) error) error {
		var e pipelines.Execution
		err := scan(&e.ID, &e.PipelineName, &e.DefinitionVersion, &e.Attempt, &e.Input)
		out[e.ID] = e
		return err
	}
}

// inputs returns what a claim needs of executions: name, definition version, attempt and input.
func (r *Repository) inputs(tx db.Tx, ids []dbtype.ID) (map[dbtype.ID]pipelines.Execution, error) {
	out := make(map[dbtype.ID]pipelines.Execution, len(ids))
	err := tx.Query(`SELECT p.id, p.pipeline_name, p.definition_version, p.attempt, p.input FROM $x
  JOIN {pipeline_executions} AS p ON p.id = x.id`,
		db.Args{"x": db.IDRows(ids)}, scanInput(out))
	return out, wrap("read inputs", err)
}

// byKey returns the id, definition version and input of the execution that an idempotency key started.
func (r *Repository) byKey(tx db.Tx, pipeline, key string) (e pipelines.Execution, err error) {
	err = tx.Query(`SELECT id, definition_version, input FROM {pipeline_executions} WHERE pipeline_name = $pipeline
  AND idempotency_key = $key`,
		db.Args{"pipeline": pipeline, "key": key},
		func(scan func(...any) error) error { return scan(&e.ID, &e.DefinitionVersion, &e.Input) })
	return e, wrap("find the idempotency key", err)
}

// Get returns one execution with its labels. It returns ErrExecutionNotFound if there is none.
func (r *Repository) Get(ctx context.Context, id dbtype.ID) (pipelines.Execution, error) {
	q, err := r.db.Read(ctx, "pipeline_executions")
	if err != nil {
		return pipelines.Execution{}, err
	}
	var e pipelines.Execution
	err = q.Where("id = ?", id).Take(&e).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return pipelines.Execution{}, fmt.Errorf("%w: %s", pipelines.ErrExecutionNotFound, id)
	}
	if err != nil {
		return e, wrap("read pipeline execution", err)
	}
	labels, err := r.Labels(ctx, []dbtype.ID{id})
	e.Labels = labels[id]
	return e, err
}

func wrap(doing string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}
