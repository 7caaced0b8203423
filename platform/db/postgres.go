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
)

// postgres is one server, with a pool that all tenants share.
type postgres struct {
	config *pgxpool.Config
	pool   *pgxpool.Pool
	sql    *sql.DB

	setup       *sessionSetup
	switchboard *switchboard

	made        atomic.Int64  // reserved connections
	reserved    *pgxpool.Pool // for heartbeats, and for questions about lost commits
	reservedSQL *sql.DB
}

// reservedConns is enough for one heartbeat and one question.
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
	closeUseless(&cfg.ConnConfig.Config, func() { p.switchboard.redial() })
	p.switchboard = newSwitchboard(cfg.ConnConfig)
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
	p.pool, p.sql, p.reserved, p.reservedSQL = pool, stdlib.OpenDBFromPool(pool), reserved, stdlib.OpenDBFromPool(reserved)
	return p, nil
}

func (p *postgres) name() string { return postgresName }

func (p *postgres) close() error {
	err := errors.Join(p.sql.Close(), p.reservedSQL.Close())
	p.pool.Close()
	p.reserved.Close()
	return err
}

// schemaOf is the Postgres schema of a tenant. The name has been checked before.
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

// malformed: a server never hands out what is no database.
func (p *postgres) malformed(error) bool { return false }

// checkFile: a server's files are its own.
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

// retryable: serialization failure, deadlock, lock not available, no connection left. The server has rolled the transaction back, or it
// has not begun.
func (p *postgres) retryable(err error) bool {
	switch sqlState(err) {
	case "40001", "40P01", "55P03", tooManyState:
		return true
	}
	return false
}

// unreachable: no connection, one that broke, or a server that is starting, stopping or full.
func (p *postgres) unreachable(err error) bool {
	var connect *pgconn.ConnectError
	var network *net.OpError
	if errors.As(err, &connect) || errors.As(err, &network) {
		return true
	}
	for _, broken := range []error{driver.ErrBadConn, sql.ErrConnDone, pgconn.ErrConnClosed, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed} {
		if errors.Is(err, broken) {
			return true
		}
	}
	switch code := sqlState(err); {
	case code == "":
		return pgconn.SafeToRetry(err) || pgconn.Timeout(err)
	case strings.HasPrefix(code, "08"), strings.HasPrefix(code, "53"), strings.HasPrefix(code, "57P"), strings.HasPrefix(code, "58"):
		return true // connection, resources (a full disk), an operator's intervention, the system
	}
	return false
}

// readOnly: the server, or the session, takes no writes.
func (p *postgres) readOnly(err error) bool { return sqlState(err) == readOnlyState }

// refused: a fault of the data (22), a constraint (23), or a limit of the server (54).
func (p *postgres) refused(err error) bool {
	code := sqlState(err)
	return strings.HasPrefix(code, "22") || strings.HasPrefix(code, "23") || strings.HasPrefix(code, "54")
}

func (p *postgres) table(tenant, name string) string {
	return `"` + schemaOf(tenant) + `"."` + name + `"`
}

func (p *postgres) lateral() bool          { return true }
func (p *postgres) in(query string) string { return "= ANY (ARRAY(" + query + "))" }
func (p *postgres) skipLocked() string     { return "FOR UPDATE SKIP LOCKED" }
func (p *postgres) share() string          { return "FOR KEY SHARE" }
func (p *postgres) forUpdate() string      { return "FOR UPDATE" }

func (p *postgres) serverName() string { return "pg_postmaster_start_time()::text" }
func (p *postgres) clockReading() string {
	return "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
}

func (p *postgres) givenNumbers() string { return "OVERRIDING SYSTEM VALUE" }

// scalar casts each value, for the server can't infer a type everywhere.
func (p *postgres) scalar(n int, value any) (string, any) {
	cast := ""
	switch value.(type) {
	case ID:
		cast = "::uuid"
	case Time:
		cast = "::timestamptz"
	case string, Text:
		cast = "::text"
	case int, int64, *int64:
		cast = "::bigint"
	case bool:
		cast = "::boolean"
	case float64:
		cast = "::double precision"
	case JSON:
		cast = "::jsonb"
	}
	return "$" + strconv.Itoa(n) + cast, value
}

func (p *postgres) maxRows(*Set, int) int { return 20000 }

func (p *postgres) numbered() bool { return true }
