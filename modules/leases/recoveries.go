package leases

import (
	"context"
	"time"

	"gorm.io/gorm/schema"

	"github.com/sluiceworks/sluice/platform/db"
)

// Recovery is an execution whose tasks are being taken back from workers that are gone. Its row is there from before the first try until
// the transaction that takes the tasks back, so that a recovery that fails, or that ends the process which tries it, is known.
type Recovery struct {
	PipelineExecutionID db.ID   `json:"pipeline_execution_id" gorm:"primaryKey"`
	Taken               int     `json:"taken"`    // how often somebody has begun with it
	Attempts            int     `json:"attempts"` // those that have failed, or whose process has not lived to tell
	Error               db.Text `json:"error"`    // of the last one; empty: its process has not lived to tell
	CreatedAt           db.Time `json:"created_at"`
	NextAt              db.Time `json:"next_at"` // nobody begins with it before
}

// TableName puts the table into the tenant's schema.
func (Recovery) TableName(n schema.Namer) string { return n.TableName("recoveries") }

// Due reports whether there is anything to recover: a worker whose lease has expired, or an execution whose next try is due. It locks
// nothing.
func (r *Repository) Due(ctx context.Context) (bool, error) {
	found := false
	err := r.db.Query(ctx, `SELECT 1 FROM {workers} WHERE lease_expires_at <= $now
UNION ALL SELECT 1 FROM {recoveries} WHERE next_at <= $now LIMIT 1`, db.Args{"now": db.At(r.db.Now())},
		func(scan func(...any) error) error {
			var one int
			found = true
			return scan(&one)
		})
	return found, wrap("look for expired leases", err)
}

// Take enters executions that need recovery, and returns those that nobody else is at, for the caller to recover. Others leave them
// alone for the length of hold. Rows of executions that were recovered in another way are removed.
func (r *Repository) Take(tx db.Tx, executions []db.ID, hold time.Duration) (list []Recovery, err error) {
	err = tx.Query(`INSERT INTO {recoveries} AS r (pipeline_execution_id, taken, attempts, created_at, next_at)
SELECT x.id, 1, 0, $now, $next FROM $x WHERE true
ON CONFLICT (pipeline_execution_id) DO UPDATE SET taken = r.taken + 1, next_at = excluded.next_at WHERE r.next_at <= $now
RETURNING pipeline_execution_id, taken, attempts, error`,
		db.Args{"x": db.IDSet(executions), "now": tx.Now, "next": db.At(tx.Now.Add(hold))}, func(scan func(...any) error) error {
			var x Recovery
			err := scan(&x.PipelineExecutionID, &x.Taken, &x.Attempts, &x.Error)
			list = append(list, x)
			return err
		})
	if err == nil {
		_, err = tx.Exec(`DELETE FROM {recoveries} WHERE next_at <= $now`, db.Args{"now": tx.Now})
	}
	return list, wrap("enter recoveries", err)
}

// Attempt counts a try before it is made, so that it counts also if the process ends of it. Others leave the execution alone for the
// length of hold.
func (r *Repository) Attempt(ctx context.Context, execution db.ID, hold time.Duration) error {
	return wrap("enter a recovery", r.update(ctx, execution, 1, "", hold))
}

// Failed enters what a try that counts has come to, and when the next one is due.
func (r *Repository) Failed(ctx context.Context, execution db.ID, reason string, wait time.Duration) error {
	return wrap("enter a failed recovery", r.update(ctx, execution, 0, reason, wait))
}

// Withdraw takes back the count of a try that says nothing about the execution. The next one is due at once.
func (r *Repository) Withdraw(ctx context.Context, execution db.ID) error {
	return wrap("withdraw a recovery", r.update(ctx, execution, -1, "", 0))
}

func (r *Repository) update(ctx context.Context, execution db.ID, more int, reason string, wait time.Duration) error {
	return r.db.Transaction(ctx, func(tx db.Tx) error {
		_, err := tx.Exec(`UPDATE {recoveries} SET attempts = attempts + $more, error = $reason, next_at = $next WHERE pipeline_execution_id = $id`,
			db.Args{"id": execution, "more": more, "reason": db.Text(reason), "next": db.At(tx.Now.Add(wait))})
		return err
	})
}

// Recovered removes executions within the transaction that recovers them.
func (r *Repository) Recovered(tx db.Tx, executions []db.ID) error {
	return tx.Later("remove recoveries", `DELETE FROM {recoveries} WHERE pipeline_execution_id IN (SELECT id FROM $x)`, db.Args{"x": db.IDSet(executions)})
}

// Recoveries lists the executions whose recovery has not come to its end, oldest first.
func (r *Repository) Recoveries(ctx context.Context) ([]Recovery, error) {
	q, err := r.db.Read(ctx)
	if err != nil {
		return nil, err
	}
	list := []Recovery{}
	return list, wrap("list recoveries", q.Order("created_at, pipeline_execution_id").Find(&list).Error)
}
