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

// table is the table of the executions. What transitions read and write leaves out inputs, which may be large, and what
// only retention and seals use.
var (
	table  = db.ModelOf[pipelines.Execution]("pipeline_executions")
	locked = table.Only("id", "pipeline_name", "definition_version", "status", "version", "attempt", "error",
		"open_tasks", "unsuccessful_tasks", "events_removed", "outputs_removed_at", "reserved_for", "created_at",
		"completed_at", "paused_at", "deadline_at")
	counted = table.Only("id", "pipeline_name", "definition_version", "status", "version", "attempt", "open_tasks",
		"unsuccessful_tasks", "reserved_for", "created_at")
	claimed  = table.Only("id", "pipeline_name", "definition_version", "attempt", "input")
	counters = table.Only("open_tasks", "unsuccessful_tasks")
	changed  = table.Only("status", "error", "open_tasks", "unsuccessful_tasks", "completed_at", "paused_at")
	restart  = table.Only("attempt", "deadline_at")
)

func rowsOf(moves []*pipelines.Change) []*pipelines.Execution {
	rows := make([]*pipelines.Execution, len(moves))
	for i, m := range moves {
		rows[i] = &m.Execution
	}
	return rows
}

// insert inserts new executions, their labels and their first events. It omits an execution if its idempotency key is
// in use. The result has true for the ids that were inserted.
func (r *Repository) insert(b *db.Batch, moves []*pipelines.Change) (map[dbtype.ID]bool, error) {
	rows := rowsOf(moves)
	written, keyed := make(map[dbtype.ID]bool, len(rows)), false
	for _, e := range rows {
		e.CreatedAt = b.Tx().Now
		written[e.ID], keyed = e.IdempotencyKey == "", keyed || e.IdempotencyKey != ""
	}
	if keyed {
		statement, args := table.InsertSQL(rows)
		b.Query("insert pipeline executions", statement+
			` ON CONFLICT (pipeline_name, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING RETURNING id`,
			args, func(scan db.Scan) error {
				var id dbtype.ID
				err := scan(&id)
				written[id] = true
				return err
			})
		if err := b.Send(); err != nil {
			return nil, err
		}
	} else {
		table.Insert(b, "insert pipeline executions", rows)
	}
	fresh := slices.DeleteFunc(slices.Clone(moves), func(m *pipelines.Change) bool { return !written[m.Execution.ID] })
	r.label(b, fresh)
	return written, r.appendEvents(b, fresh)
}

// apply writes changes. It updates the rows that still have the versions that were read, and appends one event for each
// change. If a row has another version, sending the batch fails with errVersionConflict.
func (r *Repository) apply(b *db.Batch, moves []*pipelines.Change) error {
	if len(moves) == 0 {
		return nil
	}
	slices.SortFunc(moves,
		func(a, b *pipelines.Change) int { return bytes.Compare(a.Execution.ID[:], b.Execution.ID[:]) })
	n := len(moves)
	ids, versions, restarts := make([]dbtype.ID, n), make([]int64, n), false
	for i, m := range moves {
		if err := m.Err(); err != nil {
			return err
		}
		ids[i], versions[i] = m.Execution.ID, m.Execution.Version
		restarts = restarts || m.Transition.Name == pipelines.TransitionRestart.Name
	}
	rows := rowsOf(moves)
	set := changed.AddTo(db.IDRows(ids).Ints("version", versions).WriteOnly(), rows)
	attempt, deadline := "", "CASE WHEN x.completed_at IS NULL THEN p.deadline_at END"
	if restarts { // a transaction with restarts writes no other transitions
		restart.AddTo(set, rows)
		attempt, deadline = ", attempt = x.attempt", "x.deadline_at"
	}
	b.ExecExpect("write pipeline executions",
		`UPDATE {pipeline_executions} AS p SET status = x.status, version = x.version, error = x.error`+attempt+`,
  open_tasks = x.open_tasks, unsuccessful_tasks = x.unsuccessful_tasks, completed_at = x.completed_at,
  paused_at = x.paused_at, reserved_for = CASE WHEN x.completed_at IS NULL THEN p.reserved_for END,
  deadline_at = `+deadline+`, seal_due = CASE WHEN x.completed_at IS NOT NULL AND EXISTS (SELECT 1 FROM {chores} AS c
  WHERE c.name = 'seal') THEN 1 ELSE 0 END
FROM $x WHERE p.id = x.id AND p.version = x.version - 1 $keep_plan_of_one`,
		db.Args{"x": set}, int64(n),
		func(int64) error { return fmt.Errorf("write pipeline executions: %w", errVersionConflict) })
	if err := r.appendEvents(b, moves); err != nil {
		return err
	}
	r.reportEnds(b, moves)
	return nil
}

func (r *Repository) appendEvents(b *db.Batch, moves []*pipelines.Change) error {
	list := make([]events.Event, len(moves))
	for i, m := range moves {
		e, err := m.Event()
		if err != nil {
			return err
		}
		list[i] = e
	}
	r.events.Append(b, list)
	return nil
}

// writeCounters writes the counters of executions that have no transition in this transaction.
func (r *Repository) writeCounters(b *db.Batch, list []pipelines.Execution) {
	ids := make([]dbtype.ID, len(list))
	for i := range list {
		ids[i] = list[i].ID
	}
	b.Exec("count tasks",
		`UPDATE {pipeline_executions} AS p SET open_tasks = x.open_tasks, unsuccessful_tasks = x.unsuccessful_tasks
FROM $x WHERE p.id = x.id`, db.Args{"x": counters.AddTo(db.IDRows(ids), db.Pointers(list))})
}

// lock returns executions without their inputs, and locks their rows in the order of their ids. Executions that do not
// exist are omitted. Everything that inserts or deletes outbox rows of an execution, apart from a claim, holds this
// lock, so pauses, completions and recoveries are serialized.
func (r *Repository) lock(tx db.Tx, ids []dbtype.ID) (map[dbtype.ID]pipelines.Execution, error) {
	out := make(map[dbtype.ID]pipelines.Execution, len(ids))
	err := tx.Query(`SELECT `+locked.Columns("")+
		` FROM {pipeline_executions} WHERE id IN (SELECT x.execution FROM $x) ORDER BY id $for_update`,
		db.Args{"x": db.NewRowSet(len(ids)).IDs("execution", ids)}, func(scan db.Scan) error {
			var e pipelines.Execution
			err := locked.Scan(&e, scan)
			out[e.ID] = e
			return err
		})
	return out, db.Wrap("lock pipeline executions", err)
}

// lockAndDecrement locks the executions of groups of outcomes. In the same statement it subtracts the successful tasks
// from open_tasks, because most exchanges change nothing else of the execution. When the batch is sent, out gets the
// counters before the decrement, and stored those after it. The executions in out have only the columns that outcomes
// need.
func (r *Repository) lockAndDecrement(
	b *db.Batch, groups []*executionOutcomes, out map[dbtype.ID]pipelines.Execution, stored map[dbtype.ID]counts,
) {
	groups = slices.Clone(groups)
	slices.SortFunc(groups, func(a, b *executionOutcomes) int { return bytes.Compare(a.id[:], b.id[:]) })
	ids, done := make([]dbtype.ID, len(groups)), make([]int64, len(groups))
	byID := make(map[dbtype.ID]*executionOutcomes, len(groups))
	for i, g := range groups {
		ids[i], done[i], byID[g.id] = g.id, g.succeeded(), g
	}
	set := db.NewRowSet(len(ids)).IDs("execution", ids).WriteOnly().Ints("done", done)
	b.Query("lock pipeline executions",
		`UPDATE {pipeline_executions} SET open_tasks = open_tasks - x.done FROM $x
  WHERE id = x.execution $keep_plan_of_one RETURNING `+counted.Columns(""), db.Args{"x": set},
		func(scan db.Scan) error {
			var e pipelines.Execution
			err := counted.Scan(&e, scan)
			stored[e.ID] = counts{e.OpenTasks, e.UnsuccessfulTasks}
			e.OpenTasks += int(byID[e.ID].succeeded())
			out[e.ID] = e
			return err
		})
}

// loadInputs adds a query for what a claim needs of the executions of tasks: name, definition version, attempt and
// input. Sending the batch adds the executions to out.
func (r *Repository) loadInputs(b *db.Batch, tasks []dbtype.ID, out map[dbtype.ID]pipelines.Execution) {
	b.Query("read inputs", `SELECT `+claimed.Columns("p")+` FROM {pipeline_executions} AS p
WHERE p.id IN (SELECT t.pipeline_execution_id FROM $x JOIN {task_executions} AS t ON t.id = x.id)`,
		db.Args{"x": db.IDRows(tasks)}, scanInput(out))
}

func scanInput(out map[dbtype.ID]pipelines.Execution) func(db.Scan) error {
	return func(scan db.Scan) error {
		var e pipelines.Execution
		err := claimed.Scan(&e, scan)
		out[e.ID] = e
		return err
	}
}

// inputs returns what a claim needs of executions: name, definition version, attempt and input.
func (r *Repository) inputs(tx db.Tx, ids []dbtype.ID) (map[dbtype.ID]pipelines.Execution, error) {
	out := make(map[dbtype.ID]pipelines.Execution, len(ids))
	err := tx.Query(`SELECT `+claimed.Columns("p")+` FROM $x
  JOIN {pipeline_executions} AS p ON p.id = x.id`,
		db.Args{"x": db.IDRows(ids)}, scanInput(out))
	return out, db.Wrap("read inputs", err)
}

// byKey returns the id, definition version and input of the execution that an idempotency key started.
func (r *Repository) byKey(tx db.Tx, pipeline, key string) (e pipelines.Execution, err error) {
	err = tx.Query(`SELECT id, definition_version, input FROM {pipeline_executions} WHERE pipeline_name = $pipeline
  AND idempotency_key = $key`,
		db.Args{"pipeline": pipeline, "key": key},
		func(scan db.Scan) error { return scan(&e.ID, &e.DefinitionVersion, &e.Input) })
	return e, db.Wrap("find the idempotency key", err)
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
		return e, db.Wrap("read pipeline execution", err)
	}
	labels, err := r.Labels(ctx, []dbtype.ID{id})
	e.Labels = labels[id]
	return e, err
}
