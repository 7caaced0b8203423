package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"gorm.io/gorm"
)

// mark is the comment of a schema that this program has made: so one whose first migration was interrupted is known.
const mark = "sluice tenant"

// A schema is a tenant's if it holds the tables of this program; or if it bears the mark or a first migration has begun in it, and
// it holds nothing else.
const ownSchema = `(` + hasExecutions + ` AND ` + hasMigrations + ` OR (` + hasMigrations + ` OR ` + marked + `) AND NOT ` + foreignSchema + `)`

const hasMigrations = `EXISTS (SELECT FROM pg_catalog.pg_class AS g WHERE g.relnamespace = n.oid AND g.relname = 'goose_db_version' AND g.relkind = 'r')`

const marked = `coalesce(pg_catalog.obj_description(n.oid, 'pg_namespace') = '` + mark + `', false)`

// foreignSchema: it holds a table, view or sequence, and none of ours.
const foreignSchema = `EXISTS (SELECT FROM pg_catalog.pg_class AS o WHERE o.relnamespace = n.oid AND o.relname NOT LIKE 'goose\_db\_version%')`

// checkSchema refuses a schema that is not there, and one that is another program's. public may be shared.
func (p *postgres) checkSchema(ctx context.Context, on gorm.ConnPool, tenant string) error {
	var foreign bool
	err := on.QueryRowContext(ctx, `SELECT CASE WHEN `+ownSchema+` THEN false ELSE `+foreignSchema+` END
FROM pg_catalog.pg_namespace AS n WHERE n.nspname = $1`, schemaOf(tenant)).Scan(&foreign)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return &NoTenantError{tenant, fmt.Sprintf("the database has no schema %q", schemaOf(tenant))}
	case err != nil:
		return err
	case foreign && tenant != DefaultTenant:
		return fmt.Errorf("%w: the schema %q holds the tables of another program", ErrForeign, schemaOf(tenant))
	}
	return nil
}

// hasExecutions: a schema's first migration is complete.
const hasExecutions = `EXISTS (SELECT FROM pg_catalog.pg_class AS p WHERE p.relnamespace = n.oid AND p.relname = 'pipeline_executions' AND p.relkind = 'r')`

// tenants tells incarnations of a schema apart by its number, which no other schema ever had.
func (p *postgres) tenants(ctx context.Context) (map[string]Tenant, error) {
	rows, err := p.pool.Query(ctx, `SELECT n.nspname::text, n.oid::text, NOT `+hasExecutions+` FROM pg_catalog.pg_namespace AS n
WHERE n.nspname = 'public' OR `+ownSchema)
	if err != nil {
		return nil, err
	}
	found := map[string]Tenant{}
	var t Tenant
	_, err = pgx.ForEachRow(rows, []any{&t.Name, &t.Incarnation, &t.Unused}, func() error {
		switch t.Name {
		case DefaultTenant: // the schema "default" has no name here
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
	err := p.sql.QueryRowContext(ctx, `SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1)`, schemaOf(tenant)).Scan(&there)
	if err != nil || there {
		return err
	}
	name := pgx.Identifier{schemaOf(tenant)}.Sanitize()
	err = pgx.BeginFunc(ctx, p.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `CREATE SCHEMA `+name); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `COMMENT ON SCHEMA `+name+` IS '`+mark+`'`)
		return err
	})
	// Two creators at once: the loser of the race is told of a duplicate, and the schema is there.
	if code := sqlState(err); code == "23505" || code == "42P06" {
		return nil
	}
	return err
}

// identity is the numbers of the cluster, the database and the schema: no other schema ever had the same, whatever the server's address.
// It asks on a reserved connection: a worker that has one gets along where the server has no other left.
func (p *postgres) identity(ctx context.Context, tenant string) (id string, err error) {
	err = p.reserved.QueryRow(ctx, `SELECT 'postgres-' || c.system_identifier::text || '.' || d.oid::text || '.' || n.oid::text
FROM pg_catalog.pg_control_system() AS c, pg_catalog.pg_database AS d, pg_catalog.pg_namespace AS n
WHERE d.datname = pg_catalog.current_database() AND n.nspname = $1`, schemaOf(tenant)).Scan(&id)
	return id, err
}

func (p *postgres) size(ctx context.Context, tenant string) (int64, error) {
	var n int64
	err := p.sql.QueryRowContext(ctx, `SELECT coalesce(sum(pg_catalog.pg_total_relation_size(c.oid)), 0)::bigint FROM pg_catalog.pg_class AS c
WHERE c.relkind = 'r' AND c.relnamespace = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = $1)`, schemaOf(tenant)).Scan(&n)
	return n, err
}

// guard: nothing. A drop is one transaction, and its lock is that of the migrations.
func (p *postgres) guard(context.Context, string) (func() error, error) {
	return func() error { return nil }, nil
}

// seize waits for whoever migrates or writes the tenant.
func (p *postgres) seize(ctx context.Context, on gorm.ConnPool, tenant string) error {
	stop := reportWait(ctx, func() string { return "the schema " + schemaOf(tenant) })
	_, err := on.ExecContext(ctx, `SELECT pg_catalog.pg_advisory_xact_lock(hashtext('sluice migrate'), hashtext($1))`, schemaOf(tenant))
	stop()
	if err != nil {
		return fmt.Errorf("wait for migrations: %w", err)
	}
	if err := p.checkSchema(ctx, on, tenant); err != nil {
		return err // another process has dropped it meanwhile
	}
	for _, table := range []string{"workers", "pipeline_executions"} {
		var found bool
		err := on.QueryRowContext(ctx, `SELECT EXISTS (SELECT FROM pg_catalog.pg_tables WHERE schemaname = $1 AND tablename = $2)`, schemaOf(tenant), table).Scan(&found)
		if err == nil && found {
			_, err = on.ExecContext(ctx, `LOCK TABLE `+p.table(tenant, table)+` IN ACCESS EXCLUSIVE MODE`)
		}
		if err != nil {
			return fmt.Errorf("lock %s: %w", table, err)
		}
	}
	return nil
}

func (p *postgres) erase(ctx context.Context, on gorm.ConnPool, tenant string) error {
	var own bool
	err := on.QueryRowContext(ctx, `SELECT `+ownSchema+` FROM pg_catalog.pg_namespace AS n WHERE n.nspname = $1`, schemaOf(tenant)).Scan(&own)
	if errors.Is(err, sql.ErrNoRows) || err == nil && !own {
		return &NoTenantError{tenant, fmt.Sprintf("the schema %q holds no tables of this program", schemaOf(tenant))}
	}
	if err == nil {
		_, err = on.ExecContext(ctx, `DROP SCHEMA `+pgx.Identifier{schemaOf(tenant)}.Sanitize()+` CASCADE`)
	}
	if err != nil {
		return fmt.Errorf("drop the schema: %w", err)
	}
	return nil
}

// remove lets go of connections that keep statements of the tenant prepared.
func (p *postgres) remove(context.Context, string, bool) (bool, error) {
	p.pool.Reset()
	p.reserved.Reset()
	return false, nil
}

// former: never. Handles hold no more than the schema's name.
func (p *postgres) former(string, handles) bool { return false }

func (p *postgres) closeHandles(handles) error { return nil } // all tenants share the pool

func (p *postgres) ownsFile(string) bool { return false }
