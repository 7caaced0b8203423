package leases

import (
	"context"
	"time"

	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// Recovery is an execution whose tasks are being recovered from lost workers. Its row exists from before the first
// attempt until the transaction that recovers the tasks, so that an attempt that fails or crashes its process is
// known.
type Recovery struct {
	PipelineExecutionID dbtype.ID   `json:"pipeline_execution_id" gorm:"primaryKey"`
	Taken               int         `json:"taken"`    // how often it has been taken
	Attempts            int         `json:"attempts"` // attempts that failed, or whose process ended during them
	Error               dbtype.Text `json:"error"`    // of the last attempt; empty if its process ended
	CreatedAt           dbtype.Time `json:"created_at"`
	NextAt              dbtype.Time `json:"next_at"` // no process takes it before
}

// Due reports whether there is anything to recover: a worker with an expired lease, or an execution whose next
// attempt is due. It takes no locks.
func (r *Repository) Due(ctx context.Context) (bool, error) {
	found := false
	err := r.db.Query(ctx, `SELECT 1 FROM {workers} WHERE lease_expires_at <= $now
UNION ALL SELECT 1 FROM {recoveries} WHERE next_at <= $now LIMIT 1`, db.Args{"now": dbtype.NewTime(r.db.Now())},
		func(scan db.Scan) error {
			var one int
			found = true
			return scan(&one)
		})
	return found, db.Wrap("look for expired leases", err)
}

// Acquire records executions that need recovery and returns those that no other process is recovering. The caller must
// recover them. Other processes do not take them for the duration hold. Take also deletes due rows of executions that
// were recovered in another way.
func (r *Repository) Acquire(tx db.Tx, executions []dbtype.ID, hold time.Duration) (list []Recovery, err error) {
	err = tx.Query(`INSERT INTO {recoveries} AS r (pipeline_execution_id, taken, attempts, created_at, next_at)
SELECT x.id, 1, 0, $now, $next FROM $x WHERE true
ON CONFLICT (pipeline_execution_id) DO UPDATE SET taken = r.taken + 1, next_at = excluded.next_at
  WHERE r.next_at <= $now
RETURNING pipeline_execution_id, taken, attempts, error`,
		db.Args{"x": db.IDRows(executions), "now": tx.Now, "next": dbtype.NewTime(tx.Now.Add(hold))},
		func(scan db.Scan) error {
			var x Recovery
			err := scan(&x.PipelineExecutionID, &x.Taken, &x.Attempts, &x.Error)
			list = append(list, x)
			return err
		})
	if err == nil {
		_, err = tx.Exec(`DELETE FROM {recoveries} WHERE next_at <= $now`, db.Args{"now": tx.Now})
	}
	return list, db.Wrap("enter recoveries", err)
}

// Attempt counts an attempt before it is made, so that it counts even if it crashes the process. Other processes do
// not take the execution for the duration hold.
func (r *Repository) Attempt(ctx context.Context, execution dbtype.ID, hold time.Duration) error {
	return db.Wrap("enter a recovery", r.update(ctx, execution, 1, "", hold))
}

// Failed records the error of a counted attempt. The next one is due after wait.
func (r *Repository) Failed(ctx context.Context, execution dbtype.ID, reason string, wait time.Duration) error {
	return db.Wrap("enter a failed recovery", r.update(ctx, execution, 0, reason, wait))
}

// UndoAttempt uncounts an attempt whose failure was not caused by the execution. The next one is due at once.
func (r *Repository) UndoAttempt(ctx context.Context, execution dbtype.ID) error {
	return db.Wrap("withdraw a recovery", r.update(ctx, execution, -1, "", 0))
}

func (r *Repository) update(
	ctx context.Context, execution dbtype.ID, more int, reason string, wait time.Duration,
) error {
	return r.db.Transaction(ctx, func(tx db.Tx) error {
		_, err := tx.Exec(`UPDATE {recoveries} SET attempts = attempts + $more, error = $reason, next_at = $next
  WHERE pipeline_execution_id = $id`,
			db.Args{
				"id": execution, "more": more, "reason": dbtype.Text(reason),
				"next": dbtype.NewTime(tx.Now.Add(wait)),
			})
		return err
	})
}

// Recovered deletes the rows of executions within the transaction that recovers them.
func (r *Repository) Recovered(b *db.Batch, executions []dbtype.ID) {
	b.Exec("remove recoveries",
		`DELETE FROM {recoveries} WHERE pipeline_execution_id IN (SELECT id FROM $x)`,
		db.Args{"x": db.IDRows(executions)})
}

// Recoveries returns the executions whose recovery is not complete, oldest first.
func (r *Repository) Recoveries(ctx context.Context) ([]Recovery, error) {
	q, err := r.db.Read(ctx, "recoveries")
	if err != nil {
		return nil, err
	}
	list := []Recovery{}
	return list, db.Wrap("list recoveries", q.Order("created_at, pipeline_execution_id").Find(&list).Error)
}
