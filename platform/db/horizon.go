package db

import (
	"context"
	"fmt"
	"time"
)

// Session is who has a transaction open.
type Session struct {
	Kind        string `json:"kind"`        // session, prepared (a prepared transaction) or slot (of replication)
	PID         int    `json:"pid"`         // of the server's process; 0: not a session
	Name        Text   `json:"name"`        // of a prepared transaction or a slot
	Database    Text   `json:"database"`    // of the session
	User        Text   `json:"user"`        //
	Application Text   `json:"application"` // application_name
	State       Text   `json:"state"`       // active, idle in transaction, …; null: this user may not see it
	Since       Time   `json:"since"`       // when the transaction began; null: this user may not see it
	Query       Text   `json:"query"`       // how its last statement begins; null: this user may not see it
	Age         int64  `json:"age"`         // how many transactions have begun since
}

// Hidden reports whether the server shows this user no more than that the session exists.
func (s Session) Hidden() bool { return s.Kind == "session" && s.Since.IsZero() }

// Horizon is what open transactions hold back. SQLite has nothing of the kind.
type Horizon struct {
	Writers []Session `json:"writers"` // have written to the table: a tail waits for them. Oldest first
	Oldest  []Session `json:"oldest"`  // hold back the removal of dead rows on the whole server. Oldest first, the first few
}

// Lag is how long the oldest of the writers that can be seen has been open at an instant of the database's clock.
func (h Horizon) Lag(now time.Time) (lag time.Duration) {
	for _, w := range h.Writers {
		if !w.Since.IsZero() {
			lag = max(lag, now.Sub(w.Since.Time))
		}
	}
	return lag
}

// Age is how many transactions have begun since the oldest one that is open, or that a slot keeps.
func (h Horizon) Age() (age int64) {
	for _, s := range append(h.Writers, h.Oldest...) {
		age = max(age, s.Age)
	}
	return age
}

// Horizon looks who holds back what about a table of the context's tenant. The server shows when a transaction of another user
// began only to members of pg_monitor.
func (d *DB) Horizon(ctx context.Context, table string) (Horizon, error) {
	if _, err := d.tenant(ctx); err != nil {
		return Horizon{}, err
	}
	h, err := d.backend.horizon(ctx, TenantOf(ctx), table)
	if err != nil {
		return Horizon{}, d.wrap(fmt.Errorf("look for open transactions: %w", err))
	}
	return h, nil
}

// Storage is how a table lies in its database. What a database does not have is 0.
type Storage struct {
	LiveRows int64 `json:"live_rows"` // Postgres, by its statistics
	DeadRows int64 `json:"dead_rows"` // Postgres: waiting for vacuum
	Vacuumed Time  `json:"vacuumed"`  // Postgres: when it last was, by hand or not
	WALBytes int64 `json:"wal_bytes"` // SQLite: the size of the log beside the file
	Free     int64 `json:"free_bytes"`
}

// Storage looks at a table of the context's tenant, and at the disk where that is this machine's.
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
