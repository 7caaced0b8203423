package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/sluiceworks/sluice/migrations"
)

// migrate runs on a separate connection whose search_path is the tenant's schema only, because the steps name no
// schema.
func (p *postgres) migrate(ctx context.Context, tenant string) (err error) {
	if p.setup.transactionPooling {
		return ErrMigratePooled
	}
	schema := schemaOf(tenant)
	release, err := p.lockMigrations(ctx, schema)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	conn := stdlib.OpenDB(*p.config.ConnConfig.Copy(),
		stdlib.OptionAfterConnect(func(ctx context.Context, c *pgx.Conn) error {
			if err := p.setup.prepare(ctx, c, schema); err != nil {
				return err
			}
			return checkCurrentSchema(ctx, c, tenant)
		}))
	defer func() { err = errors.Join(err, conn.Close()) }()
	return migrateUp(ctx, conn, migrations.Postgres, postgresName)
}

// checkCurrentSchema makes sure that unqualified names in a migration refer to the tenant's schema.
func checkCurrentSchema(ctx context.Context, c *pgx.Conn, tenant string) error {
	schema := schemaOf(tenant)
	var current sql.NullString
	if err := c.QueryRow(ctx, `SELECT current_schema()`).Scan(&current); err != nil {
		return fmt.Errorf("read the current schema: %w", err)
	}
	if !current.Valid {
		return &TenantNotFoundError{
			tenant,
			fmt.Sprintf("the schema %q was dropped, or this user may not use it", schema),
		}
	}
	if current.String != schema {
		return fmt.Errorf("%w: the connection's schema is %q instead of %q", ErrSearchPath, current.String, schema)
	}
	return nil
}

// lockMigrations waits until no other process migrates or drops the schema. The lock belongs to a transaction, so it
// ends with the connection, also behind a pooler. See WithWaitReport.
func (p *postgres) lockMigrations(ctx context.Context, schema string) (func() error, error) {
	conn, err := pgx.ConnectConfig(ctx, p.config.ConnConfig.Copy())
	if err != nil {
		return nil, err
	}
	release := func() error { return conn.Close(context.WithoutCancel(ctx)) } // closing rolls back
	if err := p.setup.prepare(ctx, conn, ""); err != nil {
		return nil, errors.Join(err, release())
	}
	const begin = `BEGIN; SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0;
SET LOCAL idle_in_transaction_session_timeout = 0`
	if _, err := conn.PgConn().Exec(ctx, begin).ReadAll(); err != nil {
		return nil, errors.Join(err, release())
	}
	var pid int
	if err := conn.QueryRow(ctx, `SELECT pg_catalog.pg_backend_pid()`).Scan(&pid); err != nil {
		return nil, errors.Join(err, release())
	}
	stop := reportWait(ctx, func() string { return p.holders(ctx, pid) })
	_, err = conn.Exec(ctx, `SELECT pg_catalog.pg_advisory_xact_lock(hashtext('sluice migrate'), hashtext($1))`, schema)
	stop()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("wait for other migrations: %w", err), release())
	}
	return release, nil
}

// holders describes the sessions that block the session with the given process id.
func (p *postgres) holders(ctx context.Context, pid int) string {
	var found sql.NullString
	err := p.pool.QueryRow(ctx,
		`SELECT string_agg(format('process %s of user %s (%s), whose transaction began at %s', a.pid, a.usename,
  coalesce(nullif(a.application_name, ''), 'no application name'),
  to_char(a.xact_start, 'YYYY-MM-DD HH24:MI:SS TZ')), '; ')
FROM pg_catalog.unnest(pg_catalog.pg_blocking_pids($1)) AS b (pid)
JOIN pg_catalog.pg_stat_activity AS a ON a.pid = b.pid`, pid).Scan(&found)
	if err != nil || found.String == "" {
		return "another process"
	}
	return found.String
}
