// Package leases is who is alive: one row for each worker process, with a lease that it renews by the database's clock. It says
// nothing about tasks; when a lease has expired, modules/pipelines takes the worker's tasks back.
package leases

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm/schema"

	"github.com/sluiceworks/sluice/platform/db"
)

// ErrExpired answers a worker without a row, and one that would claim although its lease has expired.
var ErrExpired = errors.New("the worker's lease has expired")

// Worker is one worker process.
type Worker struct {
	ID             string  `json:"id"`
	Hostname       string  `json:"hostname"`
	PID            int     `json:"pid" gorm:"column:pid"`
	Slots          int     `json:"slots"` // tasks that it runs at once
	Handlers       string  `json:"handlers"`
	Queues         string  `json:"queues"` // that it serves; empty: it is draining
	Limits         string  `json:"limits"` // of its tasks at once, of handlers for which the slots alone are too many: http=256,shell=64
	StartedAt      db.Time `json:"started_at"`
	LeaseExpiresAt db.Time `json:"lease_expires_at"`
}

// Draining reports whether the worker has been told to stop: it finishes what it runs, and claims nothing more.
func (w Worker) Draining() bool { return w.Queues == "" }

// TableName puts the table into the tenant's schema.
func (Worker) TableName(n schema.Namer) string { return n.TableName("workers") }

// Repository keeps leases.
type Repository struct {
	db *db.DB
}

// NewRepository makes a repository over a database.
func NewRepository(d *db.DB) *Repository { return &Repository{db: d} }

// Register announces a worker, whose id nobody has had before, for the length of its first lease. It returns when that ends.
func (r *Repository) Register(ctx context.Context, w Worker, lease time.Duration) (expires db.Time, err error) {
	err = r.db.Transaction(ctx, func(tx db.Tx) error {
		expires = db.At(tx.Now.Add(lease))
		_, err := tx.Exec(`INSERT INTO {workers} (id, hostname, pid, slots, handlers, queues, limits, started_at, lease_expires_at)
VALUES ($id, $hostname, $pid, $slots, $handlers, $queues, $limits, $now, $expires)`, db.Args{
			"id": w.ID, "hostname": w.Hostname, "pid": w.PID, "slots": w.Slots, "handlers": w.Handlers, "queues": w.Queues, "limits": w.Limits,
			"now": tx.Now, "expires": expires,
		})
		return err
	})
	return expires, wrap("register the worker", err)
}

// Renewed is what a renewal tells.
type Renewed struct {
	ExpiresAt db.Time   // when the lease ends now
	Late      bool      // it had ended before, and nobody has taken the worker's row away
	Others    bool      // there may be something to recover: another worker's lease has ended, or a recovery is due
	Server    string    // names the database server since its start; another name than before: commits may have been lost
	Clock     time.Time // the database's, when it renewed; zero where this machine's clock is the database's
}

// Renew prolongs a lease. One that has ended is prolonged as well, as long as the worker's row is there: what nobody has taken from it is
// still its own. ErrExpired: the row is gone, and so are its tasks, or may be.
func (r *Repository) Renew(ctx context.Context, id string, lease time.Duration) (n Renewed, err error) {
	err = r.db.Transaction(ctx, func(tx db.Tx) error {
		n = Renewed{ExpiresAt: db.At(tx.Now.Add(lease))}
		renewed, clock := false, int64(0)
		err := tx.LaterQuery("look at the lease", `SELECT lease_expires_at <= $now FROM {workers} WHERE id = $id`, db.Args{"id": id, "now": tx.Now},
			func(scan func(...any) error) error { return scan(&n.Late) })
		if err != nil {
			return err
		}
		err = tx.Query(`UPDATE {workers} SET lease_expires_at = $expires WHERE id = $id RETURNING
  EXISTS (SELECT 1 FROM {workers} AS w WHERE w.lease_expires_at <= $now AND w.id <> $id) OR EXISTS (SELECT 1 FROM {recoveries} AS x WHERE x.next_at <= $now),
  $server, $clock`,
			db.Args{"id": id, "expires": n.ExpiresAt, "now": tx.Now}, func(scan func(...any) error) error {
				renewed = true
				return scan(&n.Others, &n.Server, &clock)
			})
		if err == nil && !renewed {
			return ErrExpired
		}
		if clock != 0 {
			n.Clock = time.UnixMicro(clock)
		}
		return err
	})
	return n, wrap("renew the lease", err)
}

// Drain marks a worker as draining: it serves no queue any more. Its lease goes on. A worker without a row stays without.
func (r *Repository) Drain(ctx context.Context, id string) error {
	return wrap("mark the worker as draining", r.db.Transaction(ctx, func(tx db.Tx) error {
		_, err := tx.Exec(`UPDATE {workers} SET queues = '' WHERE id = $id`, db.Args{"id": id})
		return err
	}))
}

// CheckLater finds out whether a worker's lease holds; valid has the answer after the next Flush. A worker whose lease has expired, or
// that nobody knows, must not be given work, for nobody would take that back from it. Until the transaction ends, nobody finds the
// lease expired; it can be renewed.
func (r *Repository) CheckLater(tx db.Tx, id string, valid *bool) error {
	*valid = false
	return tx.LaterQuery("look at the lease", `SELECT 1 FROM {workers} WHERE id = $id AND lease_expires_at > $now $share $keep_plan`, db.Args{"id": id, "now": tx.Now},
		func(scan func(...any) error) error {
			var one int
			*valid = true
			return scan(&one)
		})
}

// Delete removes workers whose tasks have been taken back.
func (r *Repository) Delete(tx db.Tx, ids []string) error {
	_, err := tx.Exec(`DELETE FROM {workers} WHERE id IN (SELECT id FROM $x)`, db.Args{"x": db.NewSet(len(ids)).Texts("id", ids)})
	return wrap("remove workers", err)
}

// Expired locks the workers whose lease has expired and that no other transaction is dealing with, all but one. A renewal waits.
func (r *Repository) Expired(tx db.Tx, but string) ([]string, error) {
	var ids []string
	err := tx.Query(`SELECT id FROM {workers} WHERE lease_expires_at <= $now AND id <> $but ORDER BY id $skip_locked`, db.Args{"now": tx.Now, "but": but},
		func(scan func(...any) error) error {
			ids = append(ids, "")
			return scan(&ids[len(ids)-1])
		})
	return ids, wrap("find expired leases", err)
}

// List gives the workers, oldest first.
func (r *Repository) List(ctx context.Context) ([]Worker, error) {
	q, err := r.db.Read(ctx)
	if err != nil {
		return nil, err
	}
	list := []Worker{}
	return list, wrap("list workers", q.Order("started_at, id").Find(&list).Error)
}

// CountLive counts the workers that hold their leases.
func (r *Repository) CountLive(tx db.Tx) (n int64, err error) {
	err = tx.Query(`SELECT count(*) FROM {workers} WHERE lease_expires_at > $now`, db.Args{"now": tx.Now},
		func(scan func(...any) error) error { return scan(&n) })
	return n, wrap("count live workers", err)
}

func wrap(doing string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}
