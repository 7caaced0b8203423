package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// Position says how far the rows of a table are settled.
type Position struct {
	Safe      int64 // every row up to this number is visible, or never will be
	Allocated int64 // the greatest number that has been issued
	// BlockedSince is when the first number above Safe began to wait for open transactions, by DB.Now; zero if none
	// waits.
	BlockedSince time.Time
}

// Watermark follows how far the rows of an append-only table are settled, by a column that numbers them. A transaction
// gets its numbers when it writes and shows its rows when it commits, so a greater number may be visible before a
// smaller one. Up to Position.Safe this cannot happen any more.
//
// A Watermark has a connection of its own, on which it also reads, so that it never compares answers of different
// server processes. If the connection breaks, the Watermark is of no further use. It is not safe for concurrent use.
type Watermark struct {
	db     *DB
	tenant string
	impl   watermark
}

// watermark is the part of a Watermark that differs between the databases.
type watermark interface {
	advance(ctx context.Context, now time.Time) (Position, error)
	on() *sql.Conn
	// history returns a name for the history of the rows. A copy of a table may have the same name. The name of one
	// table never changes.
	history() string
	close() error
}

// ErrStandby means that the server is a standby, which does not know the open transactions of its primary.
var ErrStandby = errors.New("the server is a standby")

// Watermark opens a connection for a table of the context's tenant. The column must be the table's primary key, with
// ascending numbers.
func (d *DB) Watermark(ctx context.Context, table, column string) (*Watermark, error) {
	if _, err := d.tenant(ctx); err != nil {
		return nil, err
	}
	impl, err := d.backend.watermark(ctx, TenantOf(ctx), table, column)
	if err != nil {
		return nil, d.broken(fmt.Errorf("open the table %s: %w", table, err))
	}
	return &Watermark{db: d, tenant: TenantOf(ctx), impl: impl}, nil
}

// History returns a name that identifies the table, its database and its server.
func (f *Watermark) History() string { return f.impl.history() }

// Advance returns how far the rows are settled now.
func (f *Watermark) Advance(ctx context.Context) (Position, error) {
	m, err := f.impl.advance(ctx, f.db.Now())
	return m, f.db.broken(err)
}

// Query is DB.Query on the Watermark's connection. It sees every row up to the last Position.Safe.
func (f *Watermark) Query(
	ctx context.Context, statement string, args Args, row func(scan func(dest ...any) error) error,
) error {
	return f.db.broken(query(ctx, f.impl.on(), f.db.backend, f.tenant, statement, args, row))
}

// Close closes the connection.
func (f *Watermark) Close() error { return f.impl.close() }

// broken is wrap for a connection that is reopened after an error. It also marks errors that a transaction would
// retry as ErrUnavailable.
func (d *DB) broken(err error) error {
	if err != nil && d.backend.retryable(err) {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return d.wrap(err)
}

// pinned returns the only connection of a pool that was made for it.
func pinned(ctx context.Context, pool *sql.DB) (*sql.Conn, error) {
	pool.SetMaxOpenConns(1)
	conn, err := pool.Conn(ctx)
	if err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	return conn, nil
}

// unpin closes a connection and its pool. A connection that is already broken is not an error.
func unpin(conn *sql.Conn, pool *sql.DB) error {
	err := conn.Close()
	if errors.Is(err, sql.ErrConnDone) {
		err = nil
	}
	return errors.Join(err, pool.Close())
}
