package db

import (
	"context"
	"fmt"
)

// Measure is what a database tells of itself. Two of them, before and after a piece of work, show what the work cost.
type Measure struct {
	Version   string            // of the server or library
	Settings  map[string]string // those that decide what a commit costs, and what it is worth
	WALBytes  int64             // log written by the whole server since it was made; always 0 for SQLite
	DataBytes int64             // of the context's tenant, indexes included, the log excluded
	ServerPID int               // a process of the server's that runs on this machine; 0: none, or elsewhere
}

// Measure reads what the database tells of itself in the context's tenant.
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

// Committed is how many transactions this handle has committed so far, in all tenants; reads outside a transaction do not count.
func (d *DB) Committed() int64 { return d.commits.Load() }
