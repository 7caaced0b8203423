package db

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	pgdriver "gorm.io/driver/postgres"
	"gorm.io/gorm"

	"github.com/sluiceworks/sluice/migrations"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// postgres is one server. All tenants share its pools.
type postgres struct {
	config *pgxpool.Config
	pool   *pgxpool.Pool
	sql    *sql.DB

	setup    *sessionSetup
	listener *listener

	made        atomic.Int64  // number of reserved connections made so far
	reserved    *pgxpool.Pool // for heartbeats, and for looking up commits in doubt
	reservedSQL *sql.DB
}

// reservedConns allows one heartbeat and one lookup of a commit in doubt at the same time.
const reservedConns = 2

func newPostgres(ctx context.Context, url string) (backend, error) {
	cfg, err := parsePostgres(url)
	if err != nil {
		return nil, err
	}
	setup, err := newSessionSetup(cfg.ConnConfig)
	if err != nil {
		return nil, err
	}
	if !strings.Contains(url, "pool_max_conns") {
		cfg.MaxConns = 10
	}
	p := &postgres{config: cfg, setup: setup}
	closeUseless(&cfg.ConnConfig.Config, func() { p.listener.redial() })
	p.listener = newListener(cfg.ConnConfig)
	setup.attach(cfg)
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open pool: %w", err)
	}
	few := cfg.Copy()
	few.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		p.made.Add(1)
		return cfg.AfterConnect(ctx, conn)
	}
	few.MaxConns, few.MinConns, few.MinIdleConns, few.MaxConnIdleTime = reservedConns, 0, 0, keptFor
	if !strings.Contains(url, "pool_max_conn_lifetime") {
		few.MaxConnLifetime = keptFor
	}
	reserved, err := pgxpool.NewWithConfig(ctx, few)
	if err != nil {
		pool.Close()
		return nil, fmt.Errorf("open pool: %w", err)
	}
	p.pool, p.sql, p.reserved, p.reservedSQL = pool, stdlib.OpenDBFromPool(pool), reserved,
		stdlib.OpenDBFromPool(reserved)
	return p, nil
}

func (p *postgres) name() string { return postgresName }

func (p *postgres) close() error {
	err := errors.Join(p.sql.Close(), p.reservedSQL.Close())
	p.pool.Close()
	p.reserved.Close()
	return err
}

// schemaOf returns the PostgreSQL schema of a tenant. The name must have been checked.
func schemaOf(tenant string) string {
	if tenant == DefaultTenant {
		return "public"
	}
	return tenant
}

func (p *postgres) open(ctx context.Context, tenant string, _ bool) (handles, error) {
	if err := p.checkSchema(ctx, p.sql, tenant); err != nil {
		return handles{}, err
	}
	write, err := gorm.Open(pgdriver.New(pgdriver.Config{Conn: p.sql}), gormConfig(schemaOf(tenant)+"."))
	if err != nil {
		return handles{}, err
	}
	reserved, err := gorm.Open(pgdriver.New(pgdriver.Config{Conn: p.reservedSQL}), gormConfig(schemaOf(tenant)+"."))
	return handles{write: write, read: write, reserved: reserved}, err
}

// isCorrupt returns false: a server does not open files that are not databases.
func (p *postgres) isCorrupt(error) bool { return false }

// checkFile returns nil, because the server looks after its own files.
func (p *postgres) checkFile(string, handles) error { return nil }

func (p *postgres) newest() int64 { return newestOf(migrations.Postgres, postgresName) }

func (p *postgres) schemaVersion(_ context.Context, read *gorm.DB) (int64, error) {
	return readVersion(read, "42P01")
}

func (p *postgres) now(ctx context.Context) (time.Time, error) {
	var t time.Time
	err := p.sql.QueryRowContext(ctx, `SELECT clock_timestamp()`).Scan(&t)
	return t, err
}

func (p *postgres) snapshot(_ context.Context, read *gorm.DB, fn func(*gorm.DB) error) error {
	return read.Transaction(fn, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
}

func sqlState(err error) string {
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		return pe.Code
	}
	return ""
}

// retryable reports a serialization failure, a deadlock, an unavailable lock or a missing connection. In each case
// the server has rolled the transaction back, or the transaction has not begun.
func (p *postgres) retryable(err error) bool {
	switch sqlState(err) {
	case "40001", "40P01", "55P03", tooManyState:
		return true
	}
	return false
}

// unreachable reports a failed or broken connection, or a server that is starting, stopping or out of resources.
func (p *postgres) unreachable(err error) bool {
	var connect *pgconn.ConnectError
	var network *net.OpError
	if errors.As(err, &connect) || errors.As(err, &network) {
		return true
	}
	for _, broken := range []error{
		driver.ErrBadConn, sql.ErrConnDone, pgconn.ErrConnClosed, io.EOF,
		io.ErrUnexpectedEOF, net.ErrClosed,
	} {
		if errors.Is(err, broken) {
			return true
		}
	}
	switch code := sqlState(err); {
	case code == "":
		return pgconn.SafeToRetry(err) || pgconn.Timeout(err)
	case strings.HasPrefix(code, "08"), strings.HasPrefix(code, "53"), strings.HasPrefix(code, "57P"),
		strings.HasPrefix(code, "58"):
		return true // connection, resources (a full disk), operator intervention, system error
	}
	return false
}

// readOnly reports that the server, or the session, accepts no writes.
func (p *postgres) readOnly(err error) bool { return sqlState(err) == readOnlyState }

// isDataError reports an error of the data (class 22), of a constraint (23), or of a limit of the server (54).
func (p *postgres) isDataError(err error) bool {
	code := sqlState(err)
	return strings.HasPrefix(code, "22") || strings.HasPrefix(code, "23") || strings.HasPrefix(code, "54")
}

func (p *postgres) table(tenant, name string) string {
	return `"` + schemaOf(tenant) + `"."` + name + `"`
}

func (p *postgres) lateral() bool          { return true }
func (p *postgres) in(query string) string { return "= ANY (ARRAY(" + query + "))" }
func (p *postgres) skipLocked() string     { return "FOR UPDATE SKIP LOCKED" }
func (p *postgres) forKeyShare() string    { return "FOR KEY SHARE" }
func (p *postgres) forUpdate() string      { return "FOR UPDATE" }

func (p *postgres) serverName() string { return "pg_postmaster_start_time()::text" }
func (p *postgres) clockReading() string {
	return "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
}

func (p *postgres) overridingIdentity() string { return "OVERRIDING SYSTEM VALUE" }

// scalar adds a cast to each placeholder, because the server cannot infer a type everywhere.
func (p *postgres) scalar(n int, value any) (string, any) {
	cast := ""
	switch value.(type) {
	case dbtype.ID:
		cast = "::uuid"
	case dbtype.Time:
		cast = "::timestamptz"
	case string, dbtype.Text:
		cast = "::text"
	case int, int64, *int64:
		cast = "::bigint"
	case bool:
		cast = "::boolean"
	case float64:
		cast = "::double precision"
	case dbtype.JSON:
		cast = "::jsonb"
	}
	return "$" + strconv.Itoa(n) + cast, value
}

func (p *postgres) maxRows(*RowSet, int) int { return 20000 }

func (p *postgres) numbered() bool { return true }

// allocateSequence advances the column's sequence. The lock keeps others from taking numbers in between. It is held
// briefly.
func (p *postgres) allocateSequence(tx Tx, table, column string, n int64) (base int64, err error) {
	name := p.table(tx.tenant, table)
	if _, err := tx.Exec(`LOCK TABLE `+name+` IN SHARE ROW EXCLUSIVE MODE`, nil); err != nil {
		return 0, err
	}
	err = tx.Query(`SELECT coalesce(pg_sequence_last_value(pg_get_serial_sequence($name, $column)::regclass), 0)`,
		Args{"name": name, "column": column}, func(scan Scan) error { return scan(&base) })
	if err != nil || n == 0 {
		return base, err
	}
	return base, tx.Query(`SELECT setval(pg_get_serial_sequence($name, $column)::regclass, $last)`,
		Args{"name": name, "column": column, "last": base + n}, func(scan Scan) error { return scan(&n) })
}
