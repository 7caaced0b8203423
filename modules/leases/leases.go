// Package leases records which worker processes are alive: one row per worker, with a lease that the worker renews by
// the database's clock. It does not handle tasks. After a lease has expired, modules/pipelines recovers the worker's
// tasks.
package leases

import (
	"context"
	"errors"
	"time"

	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// ErrExpired means that a worker has no row, or that its lease has expired and it may not claim.
var ErrExpired = errors.New("the worker's lease has expired")

// Worker is the row of one worker process.
type Worker struct {
	ID             string      `json:"id"`
	Hostname       string      `json:"hostname"`
	PID            int         `json:"pid" gorm:"column:pid"`
	Slots          int         `json:"slots"` // tasks that it runs at once
	Handlers       string      `json:"handlers"`
	Queues         string      `json:"queues"` // that it serves; empty if it is draining
	Limits         string      `json:"limits"` // concurrent tasks per handler, where below the slots: http=256,shell=64
	StartedAt      dbtype.Time `json:"started_at"`
	LeaseExpiresAt dbtype.Time `json:"lease_expires_at"`
}

// Draining reports whether the worker is stopping: it finishes its running tasks and claims no more.
func (w Worker) Draining() bool { return w.Queues == "" }

// Repository stores leases and recoveries.
type Repository struct {
	db *db.DB
}

// NewRepository returns a Repository for a database.
func NewRepository(d *db.DB) *Repository { return &Repository{db: d} }

// Register inserts a worker, whose id must be new, with its first lease. It returns when the lease expires.
func (r *Repository) Register(ctx context.Context, w Worker, lease time.Duration) (expires dbtype.Time, err error) {
	err = r.db.Transaction(ctx, func(tx db.Tx) error {
		expires = dbtype.NewTime(tx.Now.Add(lease))
		_, err := tx.Exec(`INSERT INTO {workers} (id, hostname, pid, slots, handlers, queues, limits, started_at,
  lease_expires_at)
VALUES ($id, $hostname, $pid, $slots, $handlers, $queues, $limits, $now, $expires)`, db.Args{
			"id": w.ID, "hostname": w.Hostname, "pid": w.PID, "slots": w.Slots, "handlers": w.Handlers,
			"queues": w.Queues, "limits": w.Limits,
			"now": tx.Now, "expires": expires,
		})
		return err
	})
	return expires, db.Wrap("register the worker", err)
}

// Renewed is the result of a renewal.
type Renewed struct {
	ExpiresAt dbtype.Time // when the renewed lease expires
	Late      bool        // the lease had expired before, but the row still existed
	Others    bool        // another worker's lease has expired, or a recovery is due
	Server    string      // identifies one start of the database server; if it changes, commits may have been lost
	Clock     time.Time   // of the database at the renewal; zero where that is this machine's clock
}

// Renew extends a lease. It also extends an expired lease if the worker's row still exists, because then no other
// process has recovered the worker's tasks. It fails with ErrExpired if the row does not exist; the worker's tasks
// may then have been recovered.
func (r *Repository) Renew(ctx context.Context, id string, lease time.Duration) (n Renewed, err error) {
	err = r.db.Transaction(ctx, func(tx db.Tx) error {
		n = Renewed{ExpiresAt: dbtype.NewTime(tx.Now.Add(lease))}
		renewed, clock := false, int64(0)
		b := tx.Batch()
		b.Query("look at the lease", `SELECT lease_expires_at <= $now FROM {workers} WHERE id = $id`,
			db.Args{"id": id, "now": tx.Now},
			func(scan db.Scan) error { return scan(&n.Late) })
		b.Query("", `UPDATE {workers} SET lease_expires_at = $expires WHERE id = $id RETURNING
  EXISTS (SELECT 1 FROM {workers} AS w WHERE w.lease_expires_at <= $now AND w.id <> $id) OR EXISTS (SELECT 1
  FROM {recoveries} AS x WHERE x.next_at <= $now),
  $server, $clock`,
			db.Args{"id": id, "expires": n.ExpiresAt, "now": tx.Now}, func(scan db.Scan) error {
				renewed = true
				return scan(&n.Others, &n.Server, &clock)
			})
		err := b.Send()
		if err == nil && !renewed {
			return ErrExpired
		}
		if clock != 0 {
			n.Clock = time.UnixMicro(clock)
		}
		return err
	})
	return n, db.Wrap("renew the lease", err)
}

// Drain marks a worker as draining: it no longer serves any queue. Its lease is unchanged. Drain does nothing if the
// worker has no row.
func (r *Repository) Drain(ctx context.Context, id string) error {
	return db.Wrap("mark the worker as draining", r.db.Transaction(ctx, func(tx db.Tx) error {
		_, err := tx.Exec(`UPDATE {workers} SET queues = '' WHERE id = $id`, db.Args{"id": id})
		return err
	}))
}

// Check adds the question whether a worker's lease is valid to a batch. Sending the batch sets the result. A worker
// without a valid lease must not be given tasks, because no other process would recover them from it. Until the
// transaction ends, no other process finds the lease expired, but it can be renewed.
func (r *Repository) Check(b *db.Batch, id string) *bool {
	valid := new(bool)
	b.Query("look at the lease",
		`SELECT 1 FROM {workers} WHERE id = $id AND lease_expires_at > $now $share $keep_plan`,
		db.Args{"id": id, "now": b.Tx().Now},
		func(scan db.Scan) error {
			var one int
			*valid = true
			return scan(&one)
		})
	return valid
}

// Delete removes workers whose tasks have been recovered.
func (r *Repository) Delete(tx db.Tx, ids []string) error {
	_, err := tx.Exec(`DELETE FROM {workers} WHERE id IN (SELECT id FROM $x)`,
		db.Args{"x": db.NewRowSet(len(ids)).Texts("id", ids)})
	return db.Wrap("remove workers", err)
}

// Expired locks and returns the workers, except but, whose lease has expired and that no other transaction has
// locked. A renewal waits for the lock.
func (r *Repository) Expired(tx db.Tx, but string) ([]string, error) {
	var ids []string
	err := tx.Query(`SELECT id FROM {workers} WHERE lease_expires_at <= $now AND id <> $but ORDER BY id $skip_locked`,
		db.Args{"now": tx.Now, "but": but},
		func(scan db.Scan) error {
			ids = append(ids, "")
			return scan(&ids[len(ids)-1])
		})
	return ids, db.Wrap("find expired leases", err)
}

// List returns the workers, oldest first.
func (r *Repository) List(ctx context.Context) ([]Worker, error) {
	q, err := r.db.Read(ctx, "workers")
	if err != nil {
		return nil, err
	}
	list := []Worker{}
	return list, db.Wrap("list workers", q.Order("started_at, id").Find(&list).Error)
}

// CountLive returns the number of workers with a valid lease.
func (r *Repository) CountLive(tx db.Tx) (n int64, err error) {
	err = tx.Query(`SELECT count(*) FROM {workers} WHERE lease_expires_at > $now`, db.Args{"now": tx.Now},
		func(scan db.Scan) error { return scan(&n) })
	return n, db.Wrap("count live workers", err)
}
