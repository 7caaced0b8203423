package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// Mark is how far the rows of a table are settled.
type Mark struct {
	Settled int64     // every row up to this number is there now, or never comes
	Issued  int64     // the greatest number that has been given out
	Since   time.Time // since when the first number above Settled has waited for open transactions, by DB.Now; zero: nothing waits
}

// Frontier follows how far the rows of a table that is only added to are settled, by a column that numbers them. A transaction
// gets its numbers when it writes and shows its rows when it commits, so a greater number may be seen before a smaller one; up to
// Mark.Settled that is over. It has a connection of its own, on which it also reads, so that it never compares what one server
// process said with what another one does: when that breaks, so does the Frontier. It is not safe for concurrent use.
type Frontier struct {
	db     *DB
	tenant string
	impl   frontier
}

// frontier is what of a Frontier differs between the databases.
type frontier interface {
	look(ctx context.Context, now time.Time) (Mark, error)
	on() *sql.Conn
	// history names what the rows are the history of: the same name may stand for a copy, another one never for the same table.
	history() string
	close() error
}

// ErrStandby is a server that replays another one: it does not know which transactions are open there.
var ErrStandby = errors.New("the server is a standby")

// Frontier opens a connection to a table of the context's tenant. The column is its primary key, given out in ascending order.
func (d *DB) Frontier(ctx context.Context, table, column string) (*Frontier, error) {
	if _, err := d.tenant(ctx); err != nil {
		return nil, err
	}
	impl, err := d.backend.frontier(ctx, TenantOf(ctx), table, column)
	if err != nil {
		return nil, d.broken(fmt.Errorf("open the table %s: %w", table, err))
	}
	return &Frontier{db: d, tenant: TenantOf(ctx), impl: impl}, nil
}

// History names the table: this one of this database of this server.
func (f *Frontier) History() string { return f.impl.history() }

// Look finds out how far the rows are settled by now.
func (f *Frontier) Look(ctx context.Context) (Mark, error) {
	m, err := f.impl.look(ctx, f.db.Now())
	return m, f.db.broken(err)
}

// Query is DB.Query on the connection of the Frontier: it sees every row up to the last Mark.Settled.
func (f *Frontier) Query(ctx context.Context, statement string, args Args, row func(scan func(dest ...any) error) error) error {
	return f.db.broken(query(ctx, f.impl.on(), f.db.backend, f.tenant, statement, args, row))
}

// Close ends the connection.
func (f *Frontier) Close() error { return f.impl.close() }

// broken is wrap for a connection that is opened anew after whatever passes.
func (d *DB) broken(err error) error {
	if err != nil && d.backend.retryable(err) {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return d.wrap(err)
}

// pinned takes the one connection of a pool that is made for it.
func pinned(ctx context.Context, pool *sql.DB) (*sql.Conn, error) {
	pool.SetMaxOpenConns(1)
	conn, err := pool.Conn(ctx)
	if err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	return conn, nil
}

// unpin closes both. A connection that has broken already is closed well enough.
func unpin(conn *sql.Conn, pool *sql.DB) error {
	err := conn.Close()
	if errors.Is(err, sql.ErrConnDone) {
		err = nil
	}
	return errors.Join(err, pool.Close())
}
