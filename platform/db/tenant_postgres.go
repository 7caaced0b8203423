package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"gorm.io/gorm"
)

// schemaComment is the comment of every schema that this program creates, by which a schema with an interrupted first
// migration is recognised.
const schemaComment = "sluice tenant"

// ownSchema is the condition that a schema belongs to a tenant: it holds the tables of this program; or it has the
// mark, or a first migration has begun in it, and it holds nothing else.
const ownSchema = `(` + hasExecutions + ` AND ` + hasMigrations + ` OR (` + hasMigrations + ` OR ` + hasSchemaComment +
	`) AND NOT ` + foreignSchema + `)`

const hasMigrations = `EXISTS (SELECT FROM pg_catalog.pg_class AS g WHERE g.relnamespace = n.oid
  AND g.relname = 'goose_db_version' AND g.relkind = 'r')`

const hasSchemaComment = `coalesce(pg_catalog.obj_description(n.oid, 'pg_namespace') = '` + schemaComment + `', false)`

// foreignSchema is the condition that a schema holds a table, view, index or sequence that does not belong to goose.
const foreignSchema = `EXISTS (SELECT FROM pg_catalog.pg_class AS o WHERE o.relnamespace = n.oid
  AND o.relname NOT LIKE 'goose\_db\_version%')`

// checkSchema refuses a schema that does not exist, and one that belongs to another program. public may be shared.
func (p *postgres) checkSchema(ctx context.Context, on gorm.ConnPool, tenant string) error {
	var foreign bool
	err := on.QueryRowContext(ctx, `SELECT CASE WHEN `+ownSchema+` THEN false ELSE `+foreignSchema+` END
FROM pg_catalog.pg_namespace AS n WHERE n.nspname = $1`, schemaOf(tenant)).Scan(&foreign)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return &TenantNotFoundError{tenant, fmt.Sprintf("the database has no schema %q", schemaOf(tenant))}
	case err != nil:
		return err
	case foreign && tenant != DefaultTenant:
		return fmt.Errorf("%w: the schema %q holds the tables of another program", ErrForeignSchema, schemaOf(tenant))
	}
	return nil
}

// hasExecutions is the condition that a schema's first migration is complete.
const hasExecutions = `EXISTS (SELECT FROM pg_catalog.pg_class AS p WHERE p.relnamespace = n.oid
  AND p.relname = 'pipeline_executions' AND p.relkind = 'r')`

// tenants uses the oid of a schema as its incarnation, because a new schema gets another one.
func (p *postgres) tenants(ctx context.Context) (map[string]Tenant, error) {
	rows, err := p.pool.Query(ctx, `SELECT n.nspname::text, n.oid::text, NOT `+hasExecutions+
		` FROM pg_catalog.pg_namespace AS n
WHERE n.nspname = 'public' OR `+ownSchema)
	if err != nil {
		return nil, err
	}
	found := map[string]Tenant{}
	var t Tenant
	_, err = pgx.ForEachRow(rows, []any{&t.Name, &t.Generation, &t.Unmigrated}, func() error {
		switch t.Name {
		case DefaultTenant: // the schema "default" has no tenant name
			return nil
		case "public":
			t.Name = DefaultTenant
		}
		found[t.Name] = t
		return nil
	})
	return found, err
}

func (p *postgres) create(ctx context.Context, tenant string) error {
	if schemaOf(tenant) == "public" {
		_, err := p.sql.ExecContext(ctx, `CREATE SCHEMA IF NOT EXISTS public`)
		return err
	}
	var there bool
	err := p.sql.QueryRowContext(ctx, `SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1)`,
		schemaOf(tenant)).Scan(&there)
	if err != nil || there {
		return err
	}
	name := pgx.Identifier{schemaOf(tenant)}.Sanitize()
	err = pgx.BeginFunc(ctx, p.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `CREATE SCHEMA `+name); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `COMMENT ON SCHEMA `+name+` IS '`+schemaComment+`'`)
		return err
	})
	// Of two concurrent creators, the second gets an error about a duplicate, although the schema exists.
	if code := sqlState(err); code == "23505" || code == "42P06" {
		return nil
	}
	return err
}

// identity combines the numbers of the cluster, the database and the schema, which do not depend on the server's
// address. It uses a reserved connection, because a worker that has one works even if the server has no other
// connection left.
func (p *postgres) identity(ctx context.Context, tenant string) (id string, err error) {
	err = p.reserved.QueryRow(ctx,
		`SELECT 'postgres-' || c.system_identifier::text || '.' || d.oid::text || '.' || n.oid::text
FROM pg_catalog.pg_control_system() AS c, pg_catalog.pg_database AS d, pg_catalog.pg_namespace AS n
WHERE d.datname = pg_catalog.current_database() AND n.nspname = $1`, schemaOf(tenant)).Scan(&id)
	return id, err
}

func (p *postgres) size(ctx context.Context, tenant string) (int64, error) {
	var n int64
	err := p.sql.QueryRowContext(ctx,
		`SELECT coalesce(sum(pg_catalog.pg_total_relation_size(c.oid)), 0)::bigint FROM pg_catalog.pg_class AS c
WHERE c.relkind = 'r' AND c.relnamespace = (SELECT oid FROM pg_catalog.pg_namespace
  WHERE nspname = $1)`, schemaOf(tenant)).Scan(&n)
	return n, err
}

// lockDDL does nothing, because a drop is one transaction and takes the lock of the migrations.
func (p *postgres) lockDDL(context.Context, string) (func() error, error) {
	return func() error { return nil }, nil
}

// lockExclusive waits for the processes that migrate or write the tenant.
func (p *postgres) lockExclusive(ctx context.Context, on gorm.ConnPool, tenant string) error {
	stop := reportWait(ctx, func() string { return "the schema " + schemaOf(tenant) })
	_, err := on.ExecContext(ctx, `SELECT pg_catalog.pg_advisory_xact_lock(hashtext('sluice migrate'), hashtext($1))`,
		schemaOf(tenant))
	stop()
	if err != nil {
		return fmt.Errorf("wait for migrations: %w", err)
	}
	if err := p.checkSchema(ctx, on, tenant); err != nil {
		return err // another process dropped it during the wait
	}
	for _, table := range []string{"workers", "pipeline_executions"} {
		var found bool
		err := on.QueryRowContext(ctx,
			`SELECT EXISTS (SELECT FROM pg_catalog.pg_tables WHERE schemaname = $1 AND tablename = $2)`,
			schemaOf(tenant), table).Scan(&found)
		if err == nil && found {
			_, err = on.ExecContext(ctx, `LOCK TABLE `+p.table(tenant, table)+` IN ACCESS EXCLUSIVE MODE`)
		}
		if err != nil {
			return fmt.Errorf("lock %s: %w", table, err)
		}
	}
	return nil
}

func (p *postgres) markDropped(ctx context.Context, on gorm.ConnPool, tenant string) error {
	var own bool
	err := on.QueryRowContext(ctx, `SELECT `+ownSchema+` FROM pg_catalog.pg_namespace AS n WHERE n.nspname = $1`,
		schemaOf(tenant)).Scan(&own)
	if errors.Is(err, sql.ErrNoRows) || err == nil && !own {
		return &TenantNotFoundError{
			tenant,
			fmt.Sprintf("the schema %q holds no tables of this program", schemaOf(tenant)),
		}
	}
	if err == nil {
		_, err = on.ExecContext(ctx, `DROP SCHEMA `+pgx.Identifier{schemaOf(tenant)}.Sanitize()+` CASCADE`)
	}
	if err != nil {
		return fmt.Errorf("drop the schema: %w", err)
	}
	return nil
}

// deleteTenant closes connections that may hold prepared statements of the tenant.
func (p *postgres) deleteTenant(context.Context, string, bool) (bool, error) {
	p.pool.Reset()
	p.reserved.Reset()
	return false, nil
}

// isStale returns false, because handles hold only the schema's name.
func (p *postgres) isStale(string, handles) bool { return false }

func (p *postgres) closeHandles(handles) error { return nil } // all tenants share the pool

func (p *postgres) ownsFile(string) bool { return false }
