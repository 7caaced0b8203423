package db

import (
	"context"

	"gorm.io/gorm"
)

// snapshotKey is the context key of a snapshot.
type snapshotKey struct{}

// snapshot is an open transaction that reads of a context use.
type snapshot struct {
	db     *DB
	tenant string
	gorm   *gorm.DB
}

// Snapshot calls fn with a context whose reads, of the same tenant, all see the database as of one moment. It blocks no
// writer. The reads share a connection, so fn must not make them concurrently. A Snapshot within another is that one.
func (d *DB) Snapshot(ctx context.Context, fn func(ctx context.Context) error) error {
	if _, ok := d.snapshotOf(ctx); ok {
		return fn(ctx)
	}
	t, err := d.tenant(ctx)
	if err != nil {
		return err
	}
	return d.wrap(d.backend.snapshot(ctx, t.reader(ctx), func(g *gorm.DB) error {
		return fn(context.WithValue(ctx, snapshotKey{}, snapshot{d, t.name, g}))
	}))
}

func (d *DB) snapshotOf(ctx context.Context) (s snapshot, ok bool) {
	s, ok = ctx.Value(snapshotKey{}).(snapshot)
	return s, ok && s.db == d && s.tenant == TenantOf(ctx)
}

// Context returns a context whose reads see what the transaction sees, its own writes included.
func (tx Tx) Context() context.Context {
	ctx := tx.gorm.Statement.Context
	return context.WithValue(ctx, snapshotKey{}, snapshot{tx.state.db, tx.tenant, tx.gorm})
}

// Handle returns a GORM handle for reads of the context's tenant, or of its snapshot. It must not be used to write.
func (d *DB) Handle(ctx context.Context) (*gorm.DB, error) {
	if s, ok := d.snapshotOf(ctx); ok {
		return s.gorm.WithContext(ctx), nil
	}
	t, err := d.tenant(ctx)
	if err != nil {
		return nil, err
	}
	return t.reader(ctx), nil
}

// Read is Handle for queries of one table.
func (d *DB) Read(ctx context.Context, table string) (*gorm.DB, error) {
	g, err := d.Handle(ctx)
	if err != nil {
		return nil, err
	}
	return g.Table(g.NamingStrategy.TableName(table)), nil
}

// Query runs a reading statement and calls row for each row of the result. The parts of a set that is too large for one
// statement are run in order.
func (d *DB) Query(ctx context.Context, statement string, args Args, row func(Scan) error) error {
	g, err := d.Handle(ctx)
	if err != nil {
		return err
	}
	return d.wrap(eachChunk(d.backend, args, func(args Args) error {
		return query(ctx, g.Statement.ConnPool, d.backend, TenantOf(ctx), statement, args, row)
	}))
}

// AllocateSequence reserves the next n numbers that a table would assign to a column, and returns the number before the
// first of them. The numbers stay reserved even if they are not used.
func (d *DB) AllocateSequence(ctx context.Context, table, column string, n int64) (base int64, err error) {
	err = d.Transaction(ctx, func(tx Tx) (err error) {
		base, err = d.backend.allocateSequence(tx, table, column, n)
		return err
	})
	return base, Wrap("reserve numbers", err)
}
