// Package outbox stores the tasks that wait for a worker. The outbox has one row for each task that is Ready in a
// Running pipeline execution. The transition to Ready inserts the row, and the claim deletes it. The package decides no
// task transitions; see modules/tasks.
package outbox

import (
	"context"
	"fmt"

	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// Entry is the row of a task that waits for a worker.
type Entry struct {
	ID              int64       `json:"id"`
	TaskExecutionID dbtype.ID   `json:"task_execution_id"` // unique, so that a task is never enqueued twice
	Handler         string      `json:"handler"`           // the handler that the task needs
	Queue           string      `json:"queue"`
	Lane            int         `json:"lane"`
	AvailableAt     dbtype.Time `json:"available_at"` // the task is not claimed before this time
	CreatedAt       dbtype.Time `json:"created_at"`

	PipelineExecutionID dbtype.ID `json:"-" gorm:"-"` // for Enqueue only, to count the run's tasks
}

// Repository reads and writes the outbox.
type Repository struct {
	db *db.DB
}

// NewRepository returns a Repository for a database.
func NewRepository(d *db.DB) *Repository { return &Repository{db: d} }

// table is the table of the outbox. The database numbers its rows.
var (
	table    = db.ModelOf[Entry]("task_outbox")
	inserted = table.Without("id")
)

// Enqueue inserts rows. It sets their lanes and times of creation. Sending the batch fails if a task already has a row,
// because the task would run twice.
func (r *Repository) Enqueue(b *db.Batch, rows []Entry) {
	enqueued := map[dbtype.ID]int{}
	for i := range rows {
		row := &rows[i]
		row.CreatedAt = b.Tx().Now
		if row.Queue == "" {
			row.Queue = tasks.DefaultQueue
		}
		if enqueued[row.PipelineExecutionID]++; enqueued[row.PipelineExecutionID] > laneShare {
			row.Lane |= overflow
		}
	}
	inserted.Insert(b, "add to the outbox", db.Pointers(rows))
}

// DeleteByTask deletes the rows of tasks, if they exist. It waits for claims of these rows that are in progress.
func (r *Repository) DeleteByTask(b *db.Batch, ids []dbtype.ID) {
	b.Exec("remove from the outbox", `DELETE FROM {task_outbox} WHERE task_execution_id IN (SELECT id FROM $x)`,
		db.Args{"x": db.IDRows(ids)})
}

// ListPending returns at most limit rows, ordered by due time. A limit of 0 returns all rows.
func (r *Repository) ListPending(ctx context.Context, limit int) ([]Entry, error) {
	q, err := r.db.Read(ctx, "task_outbox")
	if err != nil {
		return nil, err
	}
	if limit > 0 {
		q = q.Limit(limit)
	}
	rows := []Entry{}
	if err := q.Order("available_at, id").Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("list the outbox: %w", err)
	}
	return rows, nil
}

// CountPending returns the number of rows.
func (r *Repository) CountPending(ctx context.Context) (int64, error) {
	q, err := r.db.Read(ctx, "task_outbox")
	if err != nil {
		return 0, err
	}
	var n int64
	if err := q.Count(&n).Error; err != nil {
		return 0, fmt.Errorf("count the outbox: %w", err)
	}
	return n, nil
}

// DeleteOrphans deletes rows created before the cutoff whose task does not exist or is not Ready, or whose pipeline
// execution is not Running. It returns their number. sluice creates no such rows, so they result from a change by
// another program. All other rows are kept, because their tasks would otherwise never run.
func (r *Repository) DeleteOrphans(tx db.Tx, cutoff dbtype.Time) (int64, error) {
	n, err := tx.Exec(`DELETE FROM {task_outbox} WHERE created_at < $cutoff AND NOT EXISTS (
  SELECT 1 FROM {task_executions} AS t JOIN {pipeline_executions} AS p ON p.id = t.pipeline_execution_id
  WHERE t.id = task_execution_id AND t.status = 'Ready' AND p.status = 'Running')`, db.Args{"cutoff": cutoff})
	if err != nil {
		return 0, fmt.Errorf("remove stray outbox rows: %w", err)
	}
	return n, nil
}

// ListPendingAfter returns at most limit rows that follow the row with the given due time and id in the order of
// ListPending.
func (r *Repository) ListPendingAfter(ctx context.Context, at dbtype.Time, id int64, limit int) ([]Entry, error) {
	q, err := r.db.Read(ctx, "task_outbox")
	if err != nil {
		return nil, err
	}
	rows := []Entry{}
	err = q.Where("available_at > ? OR available_at = ? AND id > ?", at, at, id).Order("available_at, id").Limit(limit).
		Find(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("list the outbox: %w", err)
	}
	return rows, nil
}
