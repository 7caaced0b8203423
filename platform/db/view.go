package db

import (
	"context"

	"gorm.io/gorm"
)

// View is the database as it is at one moment. Only DB.View makes one.
type View struct {
	gorm    *gorm.DB
	tenant  string
	dialect dialect
}

// View runs queries that all see the same moment, and blocks no writer; see Snapshot.
func (d *DB) View(ctx context.Context, fn func(v View) error) error {
	t, err := d.tenant(ctx)
	if err != nil {
		return err
	}
	return d.wrap(d.backend.snapshot(ctx, t.reader(ctx), func(g *gorm.DB) error { return fn(View{g, t.name, d.backend}) }))
}

// Query runs a reading statement and hands each row to row as it comes; see Tx.Query. The parts of a set that is too large for one
// statement follow each other in its order.
func (v View) Query(statement string, args Args, row func(scan func(dest ...any) error) error) error {
	return eachChunk(v.dialect, args, func(args Args) error {
		return query(v.gorm.Statement.Context, v.gorm.Statement.ConnPool, v.dialect, v.tenant, statement, args, row)
	})
}

// Reserve keeps the next n numbers that a table would give a column for the caller, and gives the last one before them. They stay
// reserved although the transaction may fail.
func (d *DB) Reserve(ctx context.Context, table, column string, n int64) (base int64, err error) {
	err = d.Transaction(ctx, func(tx Tx) (err error) {
		base, err = d.backend.reserve(tx, table, column, n)
		return err
	})
	return base, wrap("reserve numbers", err)
}
