package db

import (
	"context"
	"fmt"
	"time"

	"github.com/sluiceworks/sluice/platform/dbtype"
)

// Session describes who has a transaction open.
type Session struct {
	Kind        string      `json:"kind"`        // session, prepared (a prepared transaction) or slot (of replication)
	PID         int         `json:"pid"`         // of the server process; 0 if it is not a session
	Name        dbtype.Text `json:"name"`        // of a prepared transaction or a slot
	Database    dbtype.Text `json:"database"`    // of the session
	User        dbtype.Text `json:"user"`        //
	Application dbtype.Text `json:"application"` // application_name
	State       dbtype.Text `json:"state"`       // active, idle in transaction, …; null: not visible to this user
	Since       dbtype.Time `json:"since"`       // when the transaction began; null: not visible to this user
	Query       dbtype.Text `json:"query"`       // start of its last statement; null: not visible to this user
	Age         int64       `json:"age"`         // how many transactions have begun since
}

// Hidden reports whether the server shows this user only that the session exists.
func (s Session) Hidden() bool { return s.Kind == "session" && s.Since.IsZero() }

// OpenTransactions lists the open transactions that hold something back. On SQLite it is empty.
type OpenTransactions struct {
	Blocking       []Session `json:"writers"` // have written to the table, so a tail waits for them; oldest first
	OldestSnapshot []Session `json:"oldest"`  // hold back the removal of dead rows on the whole server; the oldest few
}

// Lag returns how long the oldest visible writer has been open at the time now of the database's clock.
func (h OpenTransactions) Lag(now time.Time) (lag time.Duration) {
	for _, w := range h.Blocking {
		if !w.Since.IsZero() {
			lag = max(lag, now.Sub(w.Since.Time))
		}
	}
	return lag
}

// Age returns how many transactions have begun since the oldest one that is open, or that a slot keeps.
func (h OpenTransactions) Age() (age int64) {
	for _, s := range append(h.Blocking, h.OldestSnapshot...) {
		age = max(age, s.Age)
	}
	return age
}

// OpenTransactions finds the open transactions that hold back a table of the context's tenant. The server shows when a
// transaction of another user began only to members of pg_monitor.
func (d *DB) OpenTransactions(ctx context.Context, table string) (OpenTransactions, error) {
	if _, err := d.tenant(ctx); err != nil {
		return OpenTransactions{}, err
	}
	h, err := d.backend.openTransactions(ctx, TenantOf(ctx), table)
	if err != nil {
		return OpenTransactions{}, d.wrap(fmt.Errorf("look for open transactions: %w", err))
	}
	return h, nil
}

// Storage describes how a table is stored. Fields that a database does not have are 0.
type Storage struct {
	LiveRows int64       `json:"live_rows"` // PostgreSQL, from its statistics
	DeadRows int64       `json:"dead_rows"` // PostgreSQL: waiting for vacuum
	Vacuumed dbtype.Time `json:"vacuumed"`  // PostgreSQL: the last vacuum, manual or automatic
	WALBytes int64       `json:"wal_bytes"` // SQLite: the size of the log beside the file, in bytes
	Free     int64       `json:"free_bytes"`
}

// Storage reads the storage of a table of the context's tenant, and on SQLite the free bytes of the disk.
func (d *DB) Storage(ctx context.Context, table string) (Storage, error) {
	if _, err := d.tenant(ctx); err != nil {
		return Storage{}, err
	}
	s, err := d.backend.storage(ctx, TenantOf(ctx), table)
	if err != nil {
		return Storage{}, d.wrap(fmt.Errorf("look at the storage of %s: %w", table, err))
	}
	return s, nil
}
