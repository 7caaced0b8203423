package db

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"time"
)

// sqliteWatermark relies on a file having only one writer: numbers are issued in the order of commits, so every visible
// number is settled.
type sqliteWatermark struct {
	pool    *sql.DB
	conn    *sql.Conn
	path    string
	opened  os.FileInfo
	frozen  bool // the file was opened as immutable, so it must not change
	newest  string
	settled int64
}

func (l *sqlite) watermark(ctx context.Context, tenant, table, column string) (watermark, error) {
	path := l.file(tenant)
	readOnly, err := l.inspect(ctx, tenant, false)
	if err != nil {
		return nil, err
	}
	f := &sqliteWatermark{path: path, newest: `SELECT coalesce(max(` + column + `), 0) FROM ` + l.table(tenant, table)}
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

// advance also detects that another file has replaced the open one, which the connection does not detect.
func (f *sqliteWatermark) advance(ctx context.Context, _ time.Time) (Position, error) {
	now, err := os.Stat(f.path)
	switch {
	case err != nil:
		return Position{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	case !os.SameFile(now, f.opened):
		return Position{}, fmt.Errorf("%w: another file has taken the place of %s", ErrUnavailable, f.path)
	case f.frozen && f.changed(now):
		return Position{}, fmt.Errorf("%w: %s has begun to change", ErrUnavailable, f.path)
	}
	if err := f.conn.QueryRowContext(ctx, f.newest).Scan(&f.settled); err != nil {
		return Position{}, fmt.Errorf("read the newest number: %w", err)
	}
	return Position{Safe: f.settled, Allocated: f.settled}, nil
}

func (f *sqliteWatermark) changed(now os.FileInfo) bool {
	_, err := os.Stat(f.path + "-wal")
	return err == nil || !now.ModTime().Equal(f.opened.ModTime()) || now.Size() != f.opened.Size()
}

func (f *sqliteWatermark) on() *sql.Conn   { return f.conn }
func (f *sqliteWatermark) history() string { return sqliteName }
func (f *sqliteWatermark) close() error    { return unpin(f.conn, f.pool) }
