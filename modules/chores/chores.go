// Package chores is work in the background that one process at a time takes care of: a row for each chore, with a lease that its
// holder renews by the database's clock. A chore must be harmless when two do it at once, for a holder that was silent too long may
// still be at it; the lease keeps the load down, not the data right.
package chores

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm/schema"

	"github.com/sluiceworks/sluice/platform/db"
)

// ErrHeld answers who wants a chore that somebody else is at.
var ErrHeld = errors.New("another process is at it")

// Lease is how long a holder may be silent before others take a chore over.
const Lease = time.Minute

// Chore is one piece of work in the background.
type Chore struct {
	Name       string  `json:"name"`
	Holder     db.Text `json:"holder"` // null: nobody is at it
	ExpiresAt  db.Time `json:"expires_at"`
	FinishedAt db.Time `json:"finished_at"` // when it was last brought to its end
}

// TableName puts the table into the tenant's schema.
func (Chore) TableName(n schema.Namer) string { return n.TableName("chores") }

// Repository keeps the chores.
type Repository struct {
	db *db.DB
}

// NewRepository makes a repository over a database.
func NewRepository(d *db.DB) *Repository { return &Repository{db: d} }

// Take takes a chore for a holder, and says whether it got it: not if another's lease holds, and not if the chore was finished less
// than every ago (0: whenever that was).
func (r *Repository) Take(ctx context.Context, name, holder string, every time.Duration) (taken bool, err error) {
	err = r.db.Transaction(ctx, func(tx db.Tx) error {
		n, err := tx.Exec(`INSERT INTO {chores} AS c (name, holder, expires_at) VALUES ($name, $holder, $expires)
ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
WHERE (c.holder IS NULL OR c.expires_at <= $now) AND (c.finished_at IS NULL OR c.finished_at <= $due)`, db.Args{
			"name": name, "holder": holder, "expires": db.At(tx.Now.Add(Lease)), "now": tx.Now, "due": db.At(tx.Now.Add(-every)),
		})
		taken = n > 0
		return err
	})
	return taken, wrap("take the chore "+name, err)
}

// Renew prolongs a holder's lease within a transaction of the chore. ErrHeld: it was silent too long, and another has it now.
func (r *Repository) Renew(tx db.Tx, name, holder string) error {
	n, err := tx.Exec(`UPDATE {chores} SET expires_at = $expires WHERE name = $name AND holder = $holder`,
		db.Args{"name": name, "holder": holder, "expires": db.At(tx.Now.Add(Lease))})
	if err == nil && n == 0 {
		err = ErrHeld
	}
	return wrap("renew the chore "+name, err)
}

// Release gives a chore back, finished or not. One that another has taken over is left alone.
func (r *Repository) Release(ctx context.Context, name, holder string, finished bool) error {
	set := `holder = NULL, expires_at = NULL`
	if finished {
		set += `, finished_at = $now`
	}
	return wrap("give back the chore "+name, r.db.Transaction(ctx, func(tx db.Tx) error {
		_, err := tx.Exec(`UPDATE {chores} SET `+set+` WHERE name = $name AND holder = $holder`, db.Args{"name": name, "holder": holder, "now": tx.Now})
		return err
	}))
}

// Ensure makes sure that there is a row for a chore.
func (r *Repository) Ensure(tx db.Tx, name string) error {
	_, err := tx.Exec(`INSERT INTO {chores} (name) VALUES ($name) ON CONFLICT (name) DO NOTHING`, db.Args{"name": name})
	return wrap("note the chore "+name, err)
}

// Remove takes a chore off.
func (r *Repository) Remove(tx db.Tx, name string) error {
	_, err := tx.Exec(`DELETE FROM {chores} WHERE name = $name`, db.Args{"name": name})
	return wrap("remove the chore "+name, err)
}

// Find reads a chore; found is false if there is none of the name.
func (r *Repository) Find(ctx context.Context, name string) (c Chore, found bool, err error) {
	err = r.db.Query(ctx, `SELECT name, holder, expires_at, finished_at FROM {chores} WHERE name = $name`, db.Args{"name": name},
		func(scan func(...any) error) error {
			found = true
			return scan(&c.Name, &c.Holder, &c.ExpiresAt, &c.FinishedAt)
		})
	return c, found, wrap("look up the chore "+name, err)
}

func wrap(doing string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}
