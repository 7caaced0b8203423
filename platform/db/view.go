package db

import (
	"context"

	"gorm.io/gorm"
)

// View is the database as of one moment. Only DB.View makes one.
type View struct {
	gorm    *gorm.DB
	tenant  string
	dialect dialect
}

// View runs queries that all see the same moment. It blocks no writer; see Snapshot.
func (d *DB) View(ctx context.Context, fn func(v View) error) error {
	t, err := d.tenant(ctx)
	if err != nil {
		return err
	}
	return d.wrap(d.backend.snapshot(ctx, t.reader(ctx),
		func(g *gorm.DB) error { return fn(View{g, t.name, d.backend}) }))
}

// Query runs a reading statement and calls row for each row of the result; see Tx.Query. The parts of a set that is
// too large for one statement are run in order.
func (v View) Query(statement string, args Args, row func(scan func(dest ...any) error) error) error {
	return eachChunk(v.dialect, args, func(args Args) error {
		return query(v.gorm.Statement.Context, v.gorm.Statement.ConnPool, v.dialect, v.tenant, statement, args, row)
	})
}

// Snapshot calls fn with a handle that reads what the transaction sees, its own writes included. fn must not write.
func (tx Tx) Snapshot(fn func(g *gorm.DB) error) error {
	if err := tx.SendBatch(); err != nil {
		return err
	}
	return fn(tx.gorm)
}

// AllocateSequence reserves the next n numbers that a table would assign to a column, and returns the number before the
// first of them. The numbers stay reserved even if they are not used.
func (d *DB) AllocateSequence(ctx context.Context, table, column string, n int64) (base int64, err error) {
	err = d.Transaction(ctx, func(tx Tx) (err error) {
		base, err = d.backend.allocateSequence(tx, table, column, n)
		return err
	})
	return base, wrap("reserve numbers", err)
}

// Read returns a handle for queries of a table in the context's tenant. It must not be used to write.
func (d *DB) Read(ctx context.Context, table string) (*gorm.DB, error) {
	t, err := d.tenant(ctx)
	if err != nil {
		return nil, err
	}
	g := t.reader(ctx)
	return g.Table(g.NamingStrategy.TableName(table)), nil
}

// Snapshot runs queries that all see the same moment. It blocks no writer.
func (d *DB) Snapshot(ctx context.Context, fn func(*gorm.DB) error) error {
	t, err := d.tenant(ctx)
	if err != nil {
		return err
	}
	return d.wrap(d.backend.snapshot(ctx, t.reader(ctx), fn))
}
