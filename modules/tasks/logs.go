package tasks

import (
	"context"

	"gorm.io/gorm/schema"

	"github.com/sluiceworks/sluice/platform/db"
)

// Log is what one attempt of a task wrote to its stdout and stderr, cut to MaxLog bytes each.
type Log struct {
	TaskExecutionID db.ID   `json:"task_execution_id"`
	Attempt         int     `json:"attempt"`
	Stdout          string  `json:"stdout"`
	Stderr          string  `json:"stderr"`
	CreatedAt       db.Time `json:"created_at"`
}

// TableName puts the table into the tenant's schema.
func (Log) TableName(n schema.Namer) string { return n.TableName("task_logs") }

// KeepLogs writes logs within the transaction that ends their attempts. An attempt that was deferred and goes on has written
// before: its later words follow the earlier.
func (r *Repository) KeepLogs(tx db.Tx, logs []Log) error {
	n := len(logs)
	ids, attempts, stdout, stderr := make([]db.ID, n), make([]int64, n), make([]string, n), make([]string, n)
	for i, l := range logs {
		ids[i], attempts[i], stdout[i], stderr[i] = l.TaskExecutionID, int64(l.Attempt), l.Stdout, l.Stderr
	}
	set := db.IDSet(ids).Ints("attempt", attempts).Texts("stdout", stdout).Texts("stderr", stderr)
	return tx.Later("keep logs", `INSERT INTO {task_logs} AS l (task_execution_id, attempt, stdout, stderr, created_at)
SELECT x.id, x.attempt, x.stdout, x.stderr, $now FROM $x WHERE true
ON CONFLICT (task_execution_id, attempt) DO UPDATE SET
  stdout = substr(l.stdout || excluded.stdout, 1, CAST($most AS integer)), stderr = substr(l.stderr || excluded.stderr, 1, CAST($most AS integer))`,
		db.Args{"x": set, "now": tx.Now, "most": 2 * MaxLog})
}

// Logs reads what the attempts of a pipeline execution's tasks wrote, in the order of attempts.
func (r *Repository) Logs(ctx context.Context, pipeline db.ID) ([]Log, error) {
	q, err := r.db.Read(ctx)
	if err != nil {
		return nil, err
	}
	list := []Log{}
	tasks := q.NamingStrategy.TableName("task_executions")
	err = q.Where("task_execution_id IN (SELECT id FROM "+tasks+" WHERE pipeline_execution_id = ?)", pipeline).
		Order("task_execution_id, attempt").Find(&list).Error
	return list, wrap("read logs", err)
}
