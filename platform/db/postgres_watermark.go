package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/stdlib"
)

// pgWatermark waits for the transactions that may hold numbers. A transaction that inserts into a table holds the
// table's RowExclusiveLock from before it takes a number until after its rows are visible. So if some of the numbers
// issued by a certain time are not visible yet, they belong to transactions that hold the lock after that time.
// Transactions on other tables and in other databases do not matter.
type pgWatermark struct {
	pool    *sql.DB
	conn    *sql.Conn
	name    string // of the history
	table   string // its oid
	issuing string // the statement that reads the sequence

	settled  int64
	barriers []barrier
}

// barrier says that all numbers up to upTo are settled once none of the transactions in open is open any more.
type barrier struct {
	upTo int64
	at   time.Time
	open map[string]bool // virtual transaction ids, which a server process never reuses
}

// maxBarriers bounds the number of pledges that are kept while a transaction does not end.
const maxBarriers = 256

func (p *postgres) watermark(ctx context.Context, tenant, table, column string) (watermark, error) {
	conf := p.config.ConnConfig.Copy()
	conf.RuntimeParams["application_name"] += " tail"
	f := &pgWatermark{pool: stdlib.OpenDB(*conf, stdlib.OptionAfterConnect(registerTypes))}
	var err error
	if f.conn, err = pinned(ctx, f.pool); err != nil {
		return nil, err
	}
	if err := f.prepare(ctx, p.table(tenant, table), column); err != nil {
		return nil, errors.Join(err, f.close())
	}
	return f, nil
}

func (f *pgWatermark) prepare(ctx context.Context, table, column string) error {
	var standby bool
	var sequence sql.NullString
	err := f.conn.QueryRowContext(ctx,
		`SELECT pg_is_in_recovery(), pg_get_serial_sequence($1, $2), $1::regclass::oid::text,
  (SELECT system_identifier::text FROM pg_control_system()) || ' ' || d.oid || ' ' || $1::regclass::oid
FROM pg_database AS d WHERE d.datname = current_database()`, table, column).Scan(&standby, &sequence, &f.table, &f.name)
	switch {
	case err != nil:
		return err
	case standby:
		return fmt.Errorf("%w, and only its primary knows which transactions are open: name that one", ErrStandby)
	case !sequence.Valid:
		return fmt.Errorf("column %s of %s has no sequence", column, table)
	}
	f.issuing = `SELECT last_value - CASE WHEN is_called THEN 0 ELSE 1 END FROM ` + sequence.String
	return nil
}

// advance reads the sequence first, and then, in a second statement, which transactions hold the lock.
func (f *pgWatermark) advance(ctx context.Context, now time.Time) (Position, error) {
	var issued int64
	if err := f.conn.QueryRowContext(ctx, f.issuing).Scan(&issued); err != nil {
		return Position{}, fmt.Errorf("read the sequence: %w", err)
	}
	if issued > f.settled {
		open, err := f.writers(ctx)
		if err != nil {
			return Position{}, fmt.Errorf("look for open transactions: %w", err)
		}
		f.clearBarriers(barrier{upTo: issued, at: now, open: open})
	}
	m := Position{Safe: f.settled, Allocated: issued}
	if len(f.barriers) > 0 {
		m.BlockedSince = f.barriers[0].at
	}
	return m, nil
}

// writers returns the transactions that hold the lock. A prepared transaction no longer has its virtual transaction
// id, so all of them are represented by hasPrepared.
func (f *pgWatermark) writers(ctx context.Context) (open map[string]bool, err error) {
	rows, err := f.conn.QueryContext(ctx, `SELECT virtualtransaction, pid IS NULL FROM pg_locks
WHERE locktype = 'relation' AND mode = 'RowExclusiveLock' AND granted AND relation = $1::text::oid
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`, f.table)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	open = map[string]bool{}
	for rows.Next() {
		var id string
		var prepared bool
		if err := rows.Scan(&id, &prepared); err != nil {
			return nil, err
		}
		if prepared {
			id = hasPrepared
		}
		open[id] = true
	}
	return open, rows.Err()
}

// hasPrepared represents all prepared transactions. Every pledge waits for them, because one of its own transactions
// may have been prepared since.
const hasPrepared = "prepared"

// clearBarriers adds the newest pledge, and then settles the earliest pledges as long as none of their transactions is
// open.
func (f *pgWatermark) clearBarriers(newest barrier) {
	if n := len(f.barriers); n == 0 || newest.upTo > f.barriers[n-1].upTo {
		if n == maxBarriers {
			f.barriers[n-1].upTo, f.barriers[n-1].open = newest.upTo, newest.open
		} else {
			f.barriers = append(f.barriers, newest)
		}
	}
	for len(f.barriers) > 0 && newest.cleared(f.barriers[0]) {
		f.settled, f.barriers = f.barriers[0].upTo, f.barriers[1:]
	}
}

// cleared reports whether none of the transactions that an earlier pledge waits for is open now.
func (now barrier) cleared(earlier barrier) bool {
	if now.open[hasPrepared] {
		return false
	}
	for id := range earlier.open {
		if now.open[id] {
			return false
		}
	}
	return true
}

func (f *pgWatermark) on() *sql.Conn   { return f.conn }
func (f *pgWatermark) history() string { return f.name }
func (f *pgWatermark) close() error    { return unpin(f.conn, f.pool) }
