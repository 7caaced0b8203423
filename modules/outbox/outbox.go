// Package outbox is the only way work reaches a worker: a row for each task that is Ready in a Running pipeline,
// written by the transition that made it so and taken by the claim. It decides nothing about tasks; modules/tasks says
// when a row comes and goes.
package outbox

import (
	"context"
	"fmt"

	"gorm.io/gorm/schema"

	"github.com/sluiceworks/sluice/platform/db"
)

// Entry is a task that waits for a worker.
type Entry struct {
	ID              int64   `json:"id"`
	TaskExecutionID db.ID   `json:"task_execution_id"` // unique: a task is never queued twice
	Handler         string  `json:"handler"`           // what a worker must be able to run
	Queue           string  `json:"queue"`
	Lane            int     `json:"lane"`
	AvailableAt     db.Time `json:"available_at"` // no claim before
	CreatedAt       db.Time `json:"created_at"`

	PipelineExecutionID db.ID `json:"-" gorm:"-"` // whose share the row counts against; for Create alone
}

// TableName puts the table into the tenant's schema.
func (Entry) TableName(n schema.Namer) string { return n.TableName("task_outbox") }

// Repository reads and changes the outbox.
type Repository struct {
	db *db.DB
}

// NewRepository makes a repository over a database.
func NewRepository(d *db.DB) *Repository { return &Repository{db: d} }

// Enqueue adds rows. A task that has one already is an error, for it would be work done twice.
func (r *Repository) Enqueue(tx db.Tx, rows []Entry) error {
	n := len(rows)
	ids, handlers, queues := make([]db.ID, n), make([]string, n), make([]string, n)
	lanes, at := make([]int64, n), make([]db.Time, n)
	queued := map[db.ID]int{}
	for i, row := range rows {
		ids[i], handlers[i], queues[i], at[i] = row.TaskExecutionID, row.Handler, row.Queue, row.AvailableAt
		lanes[i] = int64(row.Lane)
		if row.Queue == "" {
			queues[i] = DefaultQueue
		}
		if queued[row.PipelineExecutionID]++; queued[row.PipelineExecutionID] > burst {
			lanes[i] = int64(row.Lane | overflow)
		}
	}
	set := db.NewRowSet(n).IDs("id", ids).WriteOnly().Texts("handler", handlers).Texts("queue", queues).Ints("lane", lanes).Times("available_at", at)
	return tx.QueueExec("add to the outbox", `INSERT INTO {task_outbox} (task_execution_id, handler, queue, lane, available_at, created_at)
SELECT x.id, x.handler, x.queue, x.lane, x.available_at, $now FROM $x $keep_plan`, db.Args{"x": set, "now": tx.Now})
}

// DeleteByTask removes the rows of tasks, if they have any, waiting for claims of them that are under way.
func (r *Repository) DeleteByTask(tx db.Tx, ids []db.ID) error {
	return tx.QueueExec("remove from the outbox", `DELETE FROM {task_outbox} WHERE task_execution_id IN (SELECT id FROM $x)`, db.Args{"x": db.IDRows(ids)})
}

// ListPending gives the rows, those due first. limit 0: all.
func (r *Repository) ListPending(ctx context.Context, limit int) ([]Entry, error) {
	q, err := r.db.Read(ctx)
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

// CountPending counts the rows.
func (r *Repository) CountPending(ctx context.Context) (int64, error) {
	q, err := r.db.Read(ctx)
	if err != nil {
		return 0, err
	}
	var n int64
	if err := q.Model(&Entry{}).Count(&n).Error; err != nil {
		return 0, fmt.Errorf("count the outbox: %w", err)
	}
	return n, nil
}

// DeleteOrphans removes rows made before the cutoff that stand for no work: their task is gone or not Ready, or its
// pipeline is not Running. sluice makes none, so there are such rows only after a change by another hand. Rows that
// stand for work are never removed: their tasks would wait for ever.
func (r *Repository) DeleteOrphans(tx db.Tx, cutoff db.Time) (int64, error) {
	n, err := tx.Exec(`DELETE FROM {task_outbox} WHERE created_at < $cutoff AND NOT EXISTS (
  SELECT 1 FROM {task_executions} AS t JOIN {pipeline_executions} AS p ON p.id = t.pipeline_execution_id
  WHERE t.id = task_execution_id AND t.status = 'Ready' AND p.status = 'Running')`, db.Args{"cutoff": cutoff})
	if err != nil {
		return 0, fmt.Errorf("remove stray outbox rows: %w", err)
	}
	return n, nil
}

// ListPendingAfter is ListPending for the rows behind one, by its instant and number.
func (r *Repository) ListPendingAfter(ctx context.Context, at db.Time, id int64, limit int) ([]Entry, error) {
	q, err := r.db.Read(ctx)
	if err != nil {
		return nil, err
	}
	rows := []Entry{}
	err = q.Where("available_at > ? OR available_at = ? AND id > ?", at, at, id).Order("available_at, id").Limit(limit).Find(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("list the outbox: %w", err)
	}
	return rows, nil
}
