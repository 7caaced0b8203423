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

	switchboard *switchboard

	reserved    *pgxpool.Pool // for heartbeats, and for questions about lost commits
	reservedSQL *sql.DB
}

// reservedConns is enough for one heartbeat and one question.
const reservedConns = 2

// planSettings keep young tables, which have no statistics, from plans that read them whole: a generic plan made while a table
// was empty cost a factor of 5 to 20 (docs/adr/0002). Every statement finds its rows by an index, so a nested loop is right.
var planSettings = map[string]string{
	"plan_cache_mode": "force_custom_plan", "enable_hashjoin": "off", "enable_mergejoin": "off", "enable_seqscan": "off", "jit": "off",
	"enable_bitmapscan": "off", // it reads all that an index finds before a LIMIT applies
	"search_path":       "",    // an unqualified name fails, instead of reaching another tenant's table
	"timezone":          "UTC",
}

func newPostgres(ctx context.Context, url string) (backend, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrURL, err)
	}
	for k, v := range planSettings {
		cfg.ConnConfig.RuntimeParams[k] = v
	}
	if cfg.ConnConfig.RuntimeParams["application_name"] == "" {
		cfg.ConnConfig.RuntimeParams["application_name"] = "sluice"
	}
	if !strings.Contains(url, "pool_max_conns") {
		cfg.MaxConns = 10
	}
	cfg.AfterConnect = fastArrays
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open pool: %w", err)
	}
	few := cfg.Copy()
	few.MaxConns, few.MinConns, few.MinIdleConns = reservedConns, 0, 0
	reserved, err := pgxpool.NewWithConfig(ctx, few)
	if err != nil {
		pool.Close()
		return nil, fmt.Errorf("open pool: %w", err)
	}
	return &postgres{
		switchboard: newSwitchboard(cfg.ConnConfig), config: cfg, pool: pool, sql: stdlib.OpenDBFromPool(pool), reserved: reserved, reservedSQL: stdlib.OpenDBFromPool(reserved),
	}, nil
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

func (p *postgres) newest() int64 { return newestOf(migrations.Postgres, postgresName) }

func (p *postgres) schemaVersion(_ context.Context, read *gorm.DB) (int64, error) {
	return readVersion(read, "42P01")
}

// migrate runs on connections of its own whose search_path is the tenant's schema alone: the steps name no schema.
func (p *postgres) migrate(ctx context.Context, tenant string) (err error) {
	conf := p.config.ConnConfig.Copy()
	conf.RuntimeParams["search_path"] = pgx.Identifier{schemaOf(tenant)}.Sanitize()
	conn := stdlib.OpenDB(*conf)
	defer func() { err = errors.Join(err, conn.Close()) }()
	// A lock that waits, held by a session of its own, so that any number of processes may start together.
	locker, err := conn.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, locker.Close()) }()
	const lock = `pg_advisory_lock(hashtext('sluice migrate'), hashtext($1))`
	if _, err := locker.ExecContext(ctx, `SELECT `+lock, schemaOf(tenant)); err != nil {
		return fmt.Errorf("wait for other migrations: %w", err)
	}
	defer func() {
		_, unlock := locker.ExecContext(context.WithoutCancel(ctx), `SELECT `+strings.Replace(lock, "lock", "unlock", 1), schemaOf(tenant))
		err = errors.Join(err, unlock)
	}()
	return migrateUp(ctx, conn, migrations.Postgres, postgresName)
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

// retryable: serialization failure, deadlock, lock not available. The server has rolled the transaction back.
func (p *postgres) retryable(err error) bool {
	switch sqlState(err) {
	case "40001", "40P01", "55P03":
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
