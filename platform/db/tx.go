package db

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"gorm.io/gorm"
)

// Tx is one open transaction. Only Transaction makes one, so a write outside a transaction does not compile.
type Tx struct {
	Now Time // the one instant of everything that the transaction writes

	gorm    *gorm.DB
	tenant  string
	dialect dialect
}

// Attempts of a transaction that the database rolled back for no fault of its own (deadlock, serialization, busy).
const maxAttempts = 10

// Transaction runs fn in one transaction of the context's tenant and commits it when fn returns nil. When the database rolled
// the transaction back for a reason that passes, fn is run again, so it must not keep results of an earlier run.
// A context that ends before the commit rolls back.
func (d *DB) Transaction(ctx context.Context, fn func(tx Tx) error) error {
	t, err := d.tenant(ctx)
	if err != nil {
		return err
	}
	for attempt := 1; ; attempt++ {
		err := t.write.WithContext(ctx).Transaction(func(g *gorm.DB) error {
			return fn(Tx{Now: At(d.Now()), gorm: g, tenant: t.name, dialect: d.backend})
		})
		if err == nil || !d.backend.retryable(err) {
			return d.wrap(err)
		}
		if attempt == maxAttempts {
			return fmt.Errorf("gave up after %d attempts: %w", attempt, err)
		}
		if err := pause(ctx, attempt); err != nil {
			return err
		}
	}
}

// pause waits 1 ms doubled per attempt, spread so that two transactions in each other's way do not meet again.
func pause(ctx context.Context, attempt int) error {
	d := time.Millisecond << min(attempt, 8)
	timer := time.NewTimer(d/2 + rand.N(d))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// Exec runs a statement and gives the number of rows it changed. See Args for the statement's language.
func (tx Tx) Exec(statement string, args Args) (int64, error) {
	var n int64
	err := eachChunk(tx.dialect, args, func(args Args) error {
		sql, vars, err := render(tx.dialect, tx.tenant, statement, args)
		if err != nil {
			return err
		}
		// The statement is complete: it goes to the transaction's connection as it is, not through GORM's own placeholders.
		r, err := tx.gorm.Statement.ConnPool.ExecContext(tx.gorm.Statement.Context, sql, vars...)
		if err != nil {
			return err
		}
		changed, err := r.RowsAffected()
		n += changed
		return err
	})
	return n, err
}

// Query runs a statement and hands each row of its result to row, whose scan reads the row's columns in order.
func (tx Tx) Query(statement string, args Args, row func(scan func(dest ...any) error) error) error {
	return eachChunk(tx.dialect, args, func(args Args) error {
		return query(tx.gorm, tx.dialect, tx.tenant, statement, args, row)
	})
}

// Query runs a reading statement outside any transaction; see Tx.Query.
func (d *DB) Query(ctx context.Context, statement string, args Args, row func(scan func(dest ...any) error) error) error {
	t, err := d.tenant(ctx)
	if err != nil {
		return err
	}
	return d.wrap(eachChunk(d.backend, args, func(args Args) error {
		return query(t.read.WithContext(ctx), d.backend, t.name, statement, args, row)
	}))
}

func query(g *gorm.DB, dl dialect, tenant, statement string, args Args, row func(scan func(dest ...any) error) error) (err error) {
	sql, vars, err := render(dl, tenant, statement, args)
	if err != nil {
		return err
	}
	rows, err := g.Statement.ConnPool.QueryContext(g.Statement.Context, sql, vars...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := row(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}
