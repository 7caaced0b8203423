// Package outbox is the only way work reaches a worker: a row for each task that is Ready in a Running pipeline, written by the
// transition that made it so and taken by the claim. It decides nothing about tasks; modules/tasks says when a row comes and goes.
package outbox

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"gorm.io/gorm/schema"

	"sluice/platform/db"
)

// Row is a task that waits for a worker.
type Row struct {
	ID              int64   `json:"id"`
	TaskExecutionID db.ID   `json:"task_execution_id"` // unique: a task is never queued twice
	Handler         string  `json:"handler"`           // what a worker must be able to run
	AvailableAt     db.Time `json:"available_at"`      // no claim before
	CreatedAt       db.Time `json:"created_at"`
}

// TableName puts the table into the tenant's schema.
func (Row) TableName(n schema.Namer) string { return n.TableName("task_outbox") }

// Repository reads and changes the outbox.
type Repository struct {
	db *db.DB
}

// NewRepository makes a repository over a database.
func NewRepository(d *db.DB) *Repository { return &Repository{db: d} }

// Create adds rows. A task that has one already is an error, for it would be work done twice.
func (r *Repository) Create(tx db.Tx, rows []Row) error {
	ids, handlers, at := make([]db.ID, len(rows)), make([]string, len(rows)), make([]db.Time, len(rows))
	for i, row := range rows {
		ids[i], handlers[i], at[i] = row.TaskExecutionID, row.Handler, row.AvailableAt
	}
	set := db.NewSet(len(rows)).IDs("id", ids).Texts("handler", handlers).Times("available_at", at)
	_, err := tx.Exec(`INSERT INTO {task_outbox} (task_execution_id, handler, available_at, created_at)
SELECT x.id, x.handler, x.available_at, $now FROM $x`, db.Args{"x": set, "now": tx.Now})
	if err != nil {
		return fmt.Errorf("add to the outbox: %w", err)
	}
	return nil
}

// Want says which rows a claim takes.
type Want struct {
	Handlers            []string // what the worker can run
	Limit               int      // no more than its free slots
	PipelineExecutionID db.ID    // of this execution alone; zero: of any
}

// Take removes due rows, those due first, and returns their tasks in that order. Rows that another transaction is taking
// are passed by (Postgres), or are not there any more (SQLite, whose writers come one after the other).
func (r *Repository) Take(tx db.Tx, want Want) ([]db.ID, error) {
	only := ""
	args := db.Args{"now": tx.Now, "limit": want.Limit, "h": db.NewSet(len(want.Handlers)).Texts("name", want.Handlers)}
	if !want.PipelineExecutionID.IsZero() {
		only = ` AND task_execution_id IN (SELECT id FROM {task_executions} WHERE pipeline_execution_id = $pipeline)`
		args["pipeline"] = want.PipelineExecutionID
	}
	var rows []Row
	// IS TRUE keeps the planner from joining with the handlers, after which it would sort all that is due: so it reads the index in
	// order, and no more rows than it takes.
	err := tx.Query(`WITH due AS MATERIALIZED (
  SELECT id FROM {task_outbox} WHERE available_at <= $now AND (handler IN (SELECT name FROM $h)) IS TRUE`+only+`
  ORDER BY available_at, id LIMIT $limit $skip_locked)
DELETE FROM {task_outbox} WHERE id IN (SELECT id FROM due) RETURNING id, task_execution_id, available_at`,
		args, func(scan func(...any) error) error {
			var row Row
			err := scan(&row.ID, &row.TaskExecutionID, &row.AvailableAt)
			rows = append(rows, row)
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("take from the outbox: %w", err)
	}
	slices.SortFunc(rows, func(a, b Row) int {
		return cmp.Or(a.AvailableAt.Compare(b.AvailableAt.Time), cmp.Compare(a.ID, b.ID))
	})
	ids := make([]db.ID, len(rows))
	for i, row := range rows {
		ids[i] = row.TaskExecutionID
	}
	return ids, nil
}

// DeleteByTask removes the rows of tasks, if they have any, waiting for claims of them that are under way.
func (r *Repository) DeleteByTask(tx db.Tx, ids []db.ID) (int64, error) {
	n, err := tx.Exec(`DELETE FROM {task_outbox} WHERE task_execution_id IN (SELECT id FROM $x)`, db.Args{"x": db.IDSet(ids)})
	if err != nil {
		return 0, fmt.Errorf("remove from the outbox: %w", err)
	}
	return n, nil
}

// ListPending gives the rows, those due first. limit 0: all.
func (r *Repository) ListPending(ctx context.Context, limit int) ([]Row, error) {
	q, err := r.db.Read(ctx)
	if err != nil {
		return nil, err
	}
	if limit > 0 {
		q = q.Limit(limit)
	}
	rows := []Row{}
	if err := q.Order("available_at, id").Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("list the outbox: %w", err)
	}
	return rows, nil
}

// CountPending counts the rows.
func (r *Repository) CountPending(ctx context.Context) (int64, error) {
	q, err := r.db.Read(ctx)
	if err != nil {
		return 0, err
	}
	var n int64
	if err := q.Model(&Row{}).Count(&n).Error; err != nil {
		return 0, fmt.Errorf("count the outbox: %w", err)
	}
	return n, nil
}

// NextDue gives the earliest instant at which a row for one of the handlers is or becomes due; zero when there is none.
func (r *Repository) NextDue(ctx context.Context, want Want) (db.Time, error) {
	only := ""
	args := db.Args{"h": db.NewSet(len(want.Handlers)).Texts("name", want.Handlers)}
	if !want.PipelineExecutionID.IsZero() {
		only = ` AND task_execution_id IN (SELECT id FROM {task_executions} WHERE pipeline_execution_id = $pipeline)`
		args["pipeline"] = want.PipelineExecutionID
	}
	var at db.Time
	err := r.db.Query(ctx, `SELECT available_at FROM {task_outbox} WHERE (handler IN (SELECT name FROM $h)) IS TRUE`+only+`
ORDER BY available_at, id LIMIT 1`, args, func(scan func(...any) error) error { return scan(&at) })
	if err != nil {
		return db.Time{}, fmt.Errorf("look for the next due task: %w", err)
	}
	return at, nil
}

// DeleteOlderThan removes rows made before the cutoff that stand for no work: their task is gone or not Ready, or its pipeline
// is not Running. sluice makes none, so there are such rows only after a change by another hand. Rows that stand for work are
// never removed: their tasks would wait for ever.
func (r *Repository) DeleteOlderThan(tx db.Tx, cutoff db.Time) (int64, error) {
	n, err := tx.Exec(`DELETE FROM {task_outbox} WHERE created_at < $cutoff AND NOT EXISTS (
  SELECT 1 FROM {task_executions} AS t JOIN {pipeline_executions} AS p ON p.id = t.pipeline_execution_id
  WHERE t.id = task_execution_id AND t.status = 'Ready' AND p.status = 'Running')`, db.Args{"cutoff": cutoff})
	if err != nil {
		return 0, fmt.Errorf("remove stray outbox rows: %w", err)
	}
	return n, nil
}
