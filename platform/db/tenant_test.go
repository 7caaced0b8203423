package db_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
)

const insertWorker = `INSERT INTO {workers} (id, hostname, pid, slots, handlers, started_at, lease_expires_at)
  VALUES ($id, 'h', 1, 1, '', $now, $now)`

// workersOf lists the workers of a tenant.
func workersOf(t *testing.T, ctx context.Context, d *db.DB) string {
	t.Helper()
	var all []string
	err := d.Query(ctx, `SELECT id FROM {workers} ORDER BY id`, nil, func(scan db.Scan) error {
		var id string
		all = append(all, "")
		err := scan(&id)
		all[len(all)-1] = id
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(all, " ")
}

func TestTenantsAreApart(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		names := []string{db.DefaultTenant, "acme", "globex_2"}
		for _, name := range names {
			ctx := db.WithTenant(t.Context(), name)
			for range 2 { // the second one finds it
				if err := d.CreateTenant(ctx); err != nil {
					t.Fatal(err)
				}
			}
			err := d.Transaction(ctx, func(tx db.Tx) error {
				_, err := tx.Exec(insertWorker, db.Args{"id": "of " + name, "now": tx.Now})
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		for _, name := range names {
			ctx := db.WithTenant(t.Context(), name)
			if got := workersOf(t, ctx, d); got != "of "+name {
				t.Errorf("tenant %s sees %q, expected its own row alone", name, got)
			}
			if err := d.CheckSchema(ctx); err != nil {
				t.Error(err)
			}
		}
		if got := workersOf(t, t.Context(), d); got != "of default" {
			t.Errorf("a context that names no tenant sees %q, expected the default tenant's", got)
		}
	})
}

// TestMissingTenant checks that every operation on a missing tenant fails, creates nothing, and reaches no other
// tables.
func TestMissingTenant(t *testing.T) {
	t.Parallel()
	dbtest.EachEmpty(t, func(t *testing.T, url string) {
		d := dbtest.Open(t, url)
		ctx := db.WithTenant(t.Context(), "nobody")
		_, read := d.Read(ctx, "workers")
		_, status := d.SchemaStatus(ctx)
		for name, err := range map[string]error{
			"Migrate":     d.Migrate(ctx),
			"CheckSchema": d.CheckSchema(ctx),
			"Transaction": d.Transaction(ctx, func(db.Tx) error { t.Error("the transaction ran"); return nil }),
			"Query":       d.Query(ctx, `SELECT 1`, nil, func(func(...any) error) error { return nil }),
			"Read":        read,
			"Status":      status,
		} {
			if !errors.Is(err, db.ErrTenantNotFound) || !strings.Contains(err.Error(), "nobody") {
				t.Errorf("%s gave %v, expected ErrNoTenant with the name", name, err)
			}
		}
		if s, err := d.SchemaStatus(t.Context()); err != nil || s.Current != 0 {
			t.Errorf("the default tenant has a schema of version %d now, expected that it is still empty: %v",
				s.Current, err)
		}
	})
}

// TestHostileTenantNames tries names that would lead to another schema, another file, or SQL.
func TestHostileTenantNames(t *testing.T) {
	t.Parallel()
	names := []string{
		"../acme", "a/b", `a"b`, "a;b", "a'b", "a b", "a.b", "A", "1a", "_a", "é", "a\x00", "a\n", "-a", "public",
		"pg_catalog", "pg_temp",
		"information_schema", "all", "pg_toast", strings.Repeat("a", 41), strings.Repeat("x", 1<<20), "аcme", "ａcme",
		"acme\u200b", "acme\r",
		"acme/..", `..\acme`, "acme%00", "a$1", "{workers}", "tenant--", `x"; DROP SCHEMA public CASCADE; --`,
	}
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		before := files(t, d)
		for _, name := range names {
			ctx := db.WithTenant(t.Context(), name)
			for what, err := range map[string]error{
				"CreateTenant": d.CreateTenant(ctx), "Migrate": d.Migrate(ctx),
				"DropTenant": d.DropTenant(ctx, nil),
			} {
				if !errors.Is(err, db.ErrTenantName) {
					t.Errorf("%s of %q gave %v, expected ErrTenantName", what, name, err)
				}
			}
		}
		if after := files(t, d); after != before {
			t.Errorf("files before: %s, after: %s", before, after)
		}
		if got := workersOf(t, t.Context(), d); got != "" {
			t.Errorf("the default tenant has %q", got)
		}
	})
}

// files lists the directory of a SQLite file.
func files(t *testing.T, d *db.DB) string {
	t.Helper()
	path, ok := strings.CutPrefix(d.URL(), "sqlite://")
	if !ok {
		return ""
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

// TestLongTenantName uses a name of the maximum length, and a keyword of SQL.
func TestLongTenantName(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		for _, name := range []string{strings.Repeat("a", 40), "select", "user", "table"} {
			ctx := db.WithTenant(t.Context(), name)
			if err := d.CreateTenant(ctx); err != nil {
				t.Errorf("CreateTenant of %q: %v", name, err)
			} else if got := workersOf(t, ctx, d); got != "" {
				t.Errorf("tenant %q starts with %q", name, got)
			}
		}
	})
}

// TestUnqualifiedNameFails checks that a statement without the tenant's schema cannot reach a table in public.
func TestUnqualifiedNameFails(t *testing.T) {
	t.Parallel()
	d := dbtest.Postgres(t)
	ctx := db.WithTenant(t.Context(), "acme")
	if err := d.CreateTenant(ctx); err != nil {
		t.Fatal(err)
	}
	for _, ctx := range []context.Context{t.Context(), ctx} {
		err := d.Transaction(ctx, func(tx db.Tx) error {
			_, err := tx.Exec(`DELETE FROM workers`, nil)
			return err
		})
		if err == nil || !strings.Contains(err.Error(), "42P01") {
			t.Errorf("tenant %s: an unqualified name gave %v, expected that there is no such table", db.TenantOf(ctx),
				err)
		}
	}
}

// TestConcurrentTenants checks that all concurrent creators of one tenant succeed.
func TestConcurrentTenants(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		other := dbtest.Open(t, d.URL())
		ctx := db.WithTenant(t.Context(), "acme")
		together(t, func(i int) error { return [2]*db.DB{d, other}[i].CreateTenant(ctx) })
		if err := d.CheckSchema(ctx); err != nil {
			t.Error(err)
		}
	})
}
