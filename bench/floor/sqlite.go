package floor

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"unsafe"

	"github.com/sluiceworks/sluice/bench/measure"
	"github.com/sluiceworks/sluice/migrations"

	_ "github.com/mattn/go-sqlite3"
)

// liteAtOnce is smaller than on Postgres: SQLite pays for each page that a transaction changes, and has no round trips.
const liteAtOnce = 100

// The engine's settings of SQLite; FULL makes each commit survive a power cut.
const (
	liteOptions    = "?_journal_mode=WAL&_synchronous=FULL&_cache_size=-65536&_stmt_cache_size=256&_txlock=immediate"
	liteCheckpoint = "PRAGMA wal_autocheckpoint = 10000"
)

type lite struct {
	ids    *ids
	known  registry
	conn   *sql.Conn
	texts  map[string]*sql.Stmt
	length int
	clock  int64 // microseconds since 1970: stands for the transaction's time
}

// SQLite measures the floor on SQLite.
func SQLite(ctx context.Context, t measure.Task) (o measure.Outcome, err error) {
	g, err := newIDs()
	if err != nil {
		return o, err
	}
	db, err := sql.Open("sqlite3", "file:"+(&url.URL{Path: t.Database}).EscapedPath()+liteOptions)
	if err != nil {
		return o, err
	}
	defer func() { _ = db.Close() }() // the file goes next
	db.SetMaxOpenConns(1)
	l := &lite{ids: g, known: registry{chains: map[id]chain{}}, texts: map[string]*sql.Stmt{}, length: t.Length}
	if err := l.open(ctx, db); err != nil {
		return o, err
	}
	m, err := measure.Start(0)
	if err != nil {
		return o, err
	}
	chains := t.Tasks / t.Length
	for left := chains; left > 0; left -= liteAtOnce {
		if err := l.work(ctx, min(left, liteAtOnce)); err != nil {
			return o, err
		}
	}
	if o, err = m.Stop(chains * t.Length); err != nil {
		return o, err
	}
	o.Settings = fmt.Sprintf("one connection, sets of %d, WAL, synchronous FULL", liteAtOnce)
	got := [4]int{}
	if err := l.conn.QueryRowContext(ctx, counting).Scan(&got[0], &got[1], &got[2], &got[3]); err != nil {
		return o, fmt.Errorf("count: %w", err)
	}
	if s := fmt.Sprint(got); s != expected(chains, t.Length) {
		return o, fmt.Errorf("the floor has %s runs, tasks, events and outbox rows, expected %s", s,
			expected(chains, t.Length))
	}
	return o, nil
}

func (l *lite) open(ctx context.Context, db *sql.DB) (err error) {
	if l.conn, err = db.Conn(ctx); err != nil {
		return fmt.Errorf("open: %w", err)
	}
	schema, err := migrations.SQLite.ReadFile("sqlite/0001_core.sql")
	if err != nil {
		return err
	}
	// Numbers from 0, by which statements pick ids out of one packed parameter.
	const places = `CREATE TEMP TABLE place (i integer PRIMARY KEY);
WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 4095) INSERT INTO place SELECT i FROM n`
	for _, text := range []string{liteCheckpoint, string(schema), places} {
		if _, err := l.conn.ExecContext(ctx, text); err != nil {
			return fmt.Errorf("make the schema: %w", err)
		}
	}
	return nil
}

// work is the whole life of one set.
func (l *lite) work(ctx context.Context, chains int) error {
	s := newSet(l.ids, chains, l.length)
	l.known.add(s)
	if err := l.transaction(ctx, func() error { return l.create(ctx, s) }); err != nil {
		return err
	}
	err := l.transaction(ctx, func() error {
		first, err := l.take(ctx)
		if err != nil {
			return err
		}
		s = l.known.look(first)
		return l.start(ctx, s, 0, versionReady)
	})
	if err != nil {
		return err
	}
	for place := range s.tasks {
		if err := l.transaction(ctx, func() error { return l.step(ctx, s, place) }); err != nil {
			return err
		}
	}
	return nil
}

func (l *lite) transaction(ctx context.Context, body func() error) error {
	if err := l.exec(ctx, -1, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	if err := body(); err != nil {
		_ = l.exec(ctx, -1, "ROLLBACK") // the first error says more
		return err
	}
	return l.exec(ctx, -1, "COMMIT")
}

// exec runs a statement that must change so many rows; -1 means any number.
func (l *lite) exec(ctx context.Context, rows int, text string, args ...any) error {
	stmt, err := l.prepared(ctx, text)
	if err != nil {
		return err
	}
	r, err := stmt.ExecContext(ctx, args...)
	if err != nil {
		return fmt.Errorf("%s: %w", text, err)
	}
	if n, err := r.RowsAffected(); err != nil || rows >= 0 && n != int64(rows) {
		return fmt.Errorf("%s changed %d rows, expected %d: %w", text, n, rows, err)
	}
	return nil
}

func (l *lite) prepared(ctx context.Context, text string) (*sql.Stmt, error) {
	if s := l.texts[text]; s != nil {
		return s, nil
	}
	s, err := l.conn.PrepareContext(ctx, text)
	if err != nil {
		return nil, fmt.Errorf("prepare %s: %w", text, err)
	}
	l.texts[text] = s
	return s, nil
}

// packed is ids as one blob, one after the other.
func packed(list []id) []byte { return unsafe.Slice(&list[0][0], len(list)*len(id{})) }
