package db

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"time"
)

// liteFrontier relies on a file having only one writer: numbers are issued in the order of commits, so every visible
// number is settled.
type liteFrontier struct {
	pool    *sql.DB
	conn    *sql.Conn
	path    string
	opened  os.FileInfo
	frozen  bool // the file was opened as immutable, so it must not change
	newest  string
	settled int64
}

func (l *sqlite) frontier(ctx context.Context, tenant, table, column string) (frontier, error) {
	path := l.file(tenant)
	readOnly, err := l.inspect(ctx, tenant, false)
	if err != nil {
		return nil, err
	}
	f := &liteFrontier{path: path, newest: `SELECT coalesce(max(` + column + `), 0) FROM ` + l.table(tenant, table)}
	if f.opened, err = os.Stat(path); err != nil {
		return nil, err
	}
	if readOnly == nil {
		f.pool = l.sqlOpen(tenant, url.Values{"_query_only": {"on"}})
	} else {
		options := readOnlyOptions(path)
		f.frozen = options.Has("immutable")
		f.pool = l.sqlOpenPlain(tenant, options)
	}
	f.conn, err = pinned(ctx, f.pool)
	return f, err
}

// look also detects that another file has replaced the open one, which the connection does not detect.
func (f *liteFrontier) look(ctx context.Context, _ time.Time) (Mark, error) {
	now, err := os.Stat(f.path)
	switch {
	case err != nil:
		return Mark{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	case !os.SameFile(now, f.opened):
		return Mark{}, fmt.Errorf("%w: another file has taken the place of %s", ErrUnavailable, f.path)
	case f.frozen && f.changed(now):
		return Mark{}, fmt.Errorf("%w: %s has begun to change", ErrUnavailable, f.path)
	}
	if err := f.conn.QueryRowContext(ctx, f.newest).Scan(&f.settled); err != nil {
		return Mark{}, fmt.Errorf("read the newest number: %w", err)
	}
	return Mark{Settled: f.settled, Issued: f.settled}, nil
}

func (f *liteFrontier) changed(now os.FileInfo) bool {
	_, err := os.Stat(f.path + "-wal")
	return err == nil || !now.ModTime().Equal(f.opened.ModTime()) || now.Size() != f.opened.Size()
}

func (f *liteFrontier) on() *sql.Conn   { return f.conn }
func (f *liteFrontier) history() string { return sqliteName }
func (f *liteFrontier) close() error    { return unpin(f.conn, f.pool) }
