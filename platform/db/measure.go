package db

import (
	"context"
	"fmt"
)

// Measure is what a database reports about itself. The difference of two of them is the cost of the work in between.
type Measure struct {
	Version   string            // of the server or library
	Settings  map[string]string // those that affect the cost and the durability of a commit
	WALBytes  int64             // log written by the whole server since it was created, in bytes; always 0 for SQLite
	DataBytes int64             // of the context's tenant, in bytes, with indexes, without the log
	ServerPID int               // a server process on this machine; 0 if there is none
}

// Measure reads what the database reports about itself and the context's tenant.
func (d *DB) Measure(ctx context.Context) (Measure, error) {
	t, err := d.tenant(ctx)
	if err != nil {
		return Measure{}, err
	}
	m, err := d.backend.measure(ctx, t.name, t.reader(ctx))
	if err != nil {
		return m, d.wrap(fmt.Errorf("measure the database: %w", err))
	}
	return m, nil
}

// Committed returns how many transactions this handle has committed, in all tenants. Reads outside a transaction do
// not count.
func (d *DB) Committed() int64 { return d.commits.Load() }
