// Package chores runs background jobs in at most one process at a time. Each job has a row with a lease, which its
// holder renews by the database's clock. A job must be harmless if two processes run it at once, because a holder
// with an expired lease may still be running. The lease limits the load; it does not protect data.
package chores

import (
	"context"
	"errors"
	"time"

	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// ErrNotHolder is returned by Renew if the caller no longer holds the chore.
var ErrNotHolder = errors.New("another process holds the job")

// Lease is how long a holder may go without renewal before another process may take the chore.
const Lease = time.Minute

// JobLease is the row of one background job.
type JobLease struct {
	Name       string      `json:"name"`
	Holder     dbtype.Text `json:"holder"` // null if the chore is free
	ExpiresAt  dbtype.Time `json:"expires_at"`
	FinishedAt dbtype.Time `json:"finished_at"` // when it was last finished
}

// Repository stores chores.
type Repository struct {
	db *db.DB
}

// NewRepository returns a Repository for a database.
func NewRepository(d *db.DB) *Repository { return &Repository{db: d} }

// Acquire acquires a chore for a holder and reports whether it did. It does not if another holder's lease is valid, or
// if the chore was finished less than every ago. An every of 0 ignores when it was finished.
func (r *Repository) Acquire(ctx context.Context, name, holder string, every time.Duration) (taken bool, err error) {
	err = r.db.Transaction(ctx, func(tx db.Tx) error {
		n, err := tx.Exec(`INSERT INTO {chores} AS c (name, holder, expires_at) VALUES ($name, $holder, $expires)
ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
WHERE (c.holder IS NULL OR c.expires_at <= $now) AND (c.finished_at IS NULL OR c.finished_at <= $due)`, db.Args{
			"name": name, "holder": holder, "expires": dbtype.NewTime(tx.Now.Add(Lease)), "now": tx.Now,
			"due": dbtype.NewTime(tx.Now.Add(-every)),
		})
		taken = n > 0
		return err
	})
	return taken, db.Wrap("take the chore "+name, err)
}

// Renew extends the holder's lease within a transaction of the chore. It fails with ErrNotHolder if the holder no
// longer holds the chore.
func (r *Repository) Renew(tx db.Tx, name, holder string) error {
	n, err := tx.Exec(`UPDATE {chores} SET expires_at = $expires WHERE name = $name AND holder = $holder`,
		db.Args{"name": name, "holder": holder, "expires": dbtype.NewTime(tx.Now.Add(Lease))})
	if err == nil && n == 0 {
		err = ErrNotHolder
	}
	return db.Wrap("renew the chore "+name, err)
}

// Release frees a chore and, if finished is true, records that it was finished now. It does nothing if another holder
// has acquired the chore.
func (r *Repository) Release(ctx context.Context, name, holder string, finished bool) error {
	set := `holder = NULL, expires_at = NULL`
	if finished {
		set += `, finished_at = $now`
	}
	return db.Wrap("give back the chore "+name, r.db.Transaction(ctx, func(tx db.Tx) error {
		_, err := tx.Exec(`UPDATE {chores} SET `+set+` WHERE name = $name AND holder = $holder`,
			db.Args{"name": name, "holder": holder, "now": tx.Now})
		return err
	}))
}

// Ensure inserts the row of a chore if there is none.
func (r *Repository) Ensure(tx db.Tx, name string) error {
	_, err := tx.Exec(`INSERT INTO {chores} (name) VALUES ($name) ON CONFLICT (name) DO NOTHING`, db.Args{"name": name})
	return db.Wrap("note the chore "+name, err)
}

// Remove deletes the row of a chore.
func (r *Repository) Remove(tx db.Tx, name string) error {
	_, err := tx.Exec(`DELETE FROM {chores} WHERE name = $name`, db.Args{"name": name})
	return db.Wrap("remove the chore "+name, err)
}

// Find returns a chore. found is false if it has no row.
func (r *Repository) Find(ctx context.Context, name string) (c JobLease, found bool, err error) {
	err = r.db.Query(ctx, `SELECT name, holder, expires_at, finished_at FROM {chores} WHERE name = $name`,
		db.Args{"name": name},
		func(scan db.Scan) error {
			found = true
			return scan(&c.Name, &c.Holder, &c.ExpiresAt, &c.FinishedAt)
		})
	return c, found, db.Wrap("look up the chore "+name, err)
}
