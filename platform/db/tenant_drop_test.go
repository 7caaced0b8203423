package db_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
)

// in returns the context of a tenant.
func in(t *testing.T, name string) context.Context {
	t.Helper()
	return db.WithTenant(t.Context(), name)
}

func create(t *testing.T, d *db.DB, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := d.CreateTenant(in(t, name)); err != nil {
			t.Fatal(err)
		}
	}
}

func tenantNames(t *testing.T, d *db.DB) []string {
	t.Helper()
	list, err := d.Tenants(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, x := range list {
		names = append(names, x.Name)
	}
	return names
}

// tenantPattern returns the path of a tenant's SQLite file.
func tenantPattern(d *db.DB, name string) string {
	return strings.TrimSuffix(strings.TrimPrefix(d.URL(), "sqlite://"), ".db") + "." + name + ".db"
}

// strangers creates what other programs may have under names that a tenant could have.
func strangers(t *testing.T, d *db.DB) {
	t.Helper()
	if d.Backend() == "postgres" {
		for _, s := range []string{
			`CREATE SCHEMA sales`, `CREATE TABLE sales.customers (id int)`, `CREATE SCHEMA gooses`,
			`CREATE TABLE gooses.goose_db_version (id int)`,
			`CREATE TABLE gooses.geese (id int)`, `CREATE SCHEMA views`, `CREATE VIEW views.v AS SELECT 1 AS one`,
			`CREATE SCHEMA nothing`,
			`CREATE SCHEMA "Acme-2"`, `CREATE TABLE "Acme-2".goose_db_version (id int)`,
			`CREATE TABLE "Acme-2".pipeline_executions (id int)`,
			`CREATE SCHEMA "default"`, `CREATE TABLE "default".goose_db_version (id int)`,
			`CREATE TABLE "default".pipeline_executions (id int)`,
		} {
			mustExec(t, d, s, nil)
		}
		return
	}
	for name, table := range map[string]string{"sales": "customers", "gooses": "goose_db_version", "views": "other"} {
		other := dbtest.Open(t, "sqlite://"+tenantPattern(d, name))
		mustExec(t, other, `CREATE TABLE `+table+` (id int)`, nil)
		mustExec(t, other, `CREATE TABLE geese (id int)`, nil)
	}
	for name, text := range map[string]string{"text": strings.Repeat("no database at all\n", 60), "Acme-2": ""} {
		if err := os.WriteFile(tenantPattern(d, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestOnlyOwnTenants checks that schemas and files of other programs are not listed, opened, turned into tenants or
// dropped.
func TestOnlyOwnTenants(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		create(t, d, "globex", "acme")
		strangers(t, d)
		if diff := cmp.Diff([]string{db.DefaultTenant, "acme", "globex"}, tenantNames(t, d)); diff != "" {
			t.Error(diff)
		}
		for _, name := range []string{"sales", "gooses", "views"} {
			ctx := in(t, name)
			_, status := d.SchemaStatus(ctx)
			for what, err := range map[string]error{
				"create": d.CreateTenant(ctx), "migrate": d.Migrate(ctx),
				"look": status, "drop": d.DropTenant(ctx, nil),
			} {
				if !errors.Is(err, db.ErrForeignSchema) {
					t.Errorf("%s of %s: %v, want ErrForeign", what, name, err)
				}
			}
		}
		if d.Backend() == "postgres" {
			if err := d.DropTenant(in(t, "nothing"), nil); !errors.Is(err, db.ErrTenantNotFound) {
				t.Errorf("drop of an empty schema: %v", err)
			}
			if n := count(t, d, `SELECT count(*) FROM pg_catalog.pg_namespace
  WHERE nspname IN ('sales', 'gooses', 'views', 'nothing', 'default')`, nil); n != 5 {
				t.Errorf("%d of 5 schemas are left", n)
			}
		} else if err := d.DropTenant(in(t, "text"), nil); !errors.Is(err, db.ErrCorrupt) {
			t.Errorf("drop of a text: %v", err)
		}
	})
}

// TestDropTenant checks that a drop removes the whole tenant for all handles, that other tenants stay complete, and
// that the name may be used again.
func TestDropTenant(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		other := dbtest.Open(t, d.URL())
		before := files(t, d)
		create(t, d, "acme")
		first := tenantNames(t, d)
		insert := func(d *db.DB, name string) error {
			return d.Transaction(in(t, name), func(tx db.Tx) error {
				_, err := tx.Exec(insertWorker, db.Args{"id": "w-" + name, "now": tx.Now})
				return err
			})
		}
		if err := errors.Join(insert(other, "acme"), insert(d, db.DefaultTenant)); err != nil {
			t.Fatal(err)
		}
		refused := errors.New("it is in use")
		if err := d.DropTenant(in(t, "acme"), func(db.Tx) error { return refused }); !errors.Is(err, refused) {
			t.Errorf("a drop that is not allowed: %v", err)
		}
		if got := workersOf(t, in(t, "acme"), d); got != "w-acme" {
			t.Errorf("after a refused drop: %q", got)
		}
		if err := d.DropTenant(in(t, "acme"), func(db.Tx) error { return nil }); err != nil {
			t.Fatal(err)
		}
		if err := d.DropTenant(in(t, "acme"), nil); !errors.Is(err, db.ErrTenantNotFound) {
			t.Errorf("dropped again: %v", err)
		}
		if err := insert(d, "acme"); !errors.Is(err, db.ErrTenantNotFound) && d.Backend() == "sqlite" || err == nil {
			t.Errorf("a write after the drop: %v", err)
		}
		if err := insert(other, "acme"); err == nil {
			t.Error("a write by another process after the drop")
		}
		if err := other.CloseTenant(in(t, "acme")); err != nil {
			t.Fatal(err)
		}
		if err := insert(other, "acme"); !errors.Is(err, db.ErrTenantNotFound) {
			t.Errorf("a write by another process that has noticed: %v", err)
		}
		if got := tenantNames(t, other); len(first) != 2 || len(got) != 1 {
			t.Errorf("tenants before: %v, after: %v", first, got)
		}
		if after := files(t, d); !sameFiles(before, after) {
			t.Errorf("files before: %s, after: %s", before, after)
		}
		create(t, d, "acme")
		if got := workersOf(t, in(t, "acme"), other); got != "" {
			t.Errorf("the new tenant has %q", got)
		}
		if got := workersOf(t, t.Context(), d); got != "w-default" {
			t.Errorf("the default tenant has %q", got)
		}
		if err := d.DropTenant(t.Context(), nil); !errors.Is(err, db.ErrTenantName) {
			t.Errorf("drop of the default tenant: %v", err)
		}
	})
}

// sameFiles compares lists of files without SQLite's files beside the default tenant's.
func sameFiles(before, after string) bool {
	own := func(list string) (out string) {
		for _, f := range strings.Fields(list) {
			if strings.Contains(f, "acme") {
				out += f + " "
			}
		}
		return out
	}
	return own(before) == own(after)
}

// TestIncarnations checks that a tenant that was created again differs from the earlier one.
func TestIncarnations(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		other := dbtest.Open(t, d.URL())
		create(t, d, "acme")
		if err := other.CheckSchema(in(t, "acme")); err != nil { // it has the file open
			t.Fatal(err)
		}
		incarnation := func() string {
			list, err := other.Tenants(t.Context())
			if err != nil || len(list) != 2 {
				t.Fatalf("%v, %v", list, err)
			}
			return list[1].Generation
		}
		before := incarnation()
		if err := d.DropTenant(in(t, "acme"), nil); err != nil {
			t.Fatal(err)
		}
		create(t, d, "acme")
		if after := incarnation(); after == before {
			t.Errorf("incarnation %s twice", before)
		}
	})
}

// TestInterruptedTenants checks that what an interrupted create or drop leaves is not a tenant, and that both may be
// repeated.
func TestInterruptedTenants(t *testing.T) {
	t.Parallel()
	leave := map[string]map[string]func(t *testing.T, d *db.DB){
		"postgres": {
			"an empty schema of ours": func(t *testing.T, d *db.DB) {
				mustExec(t, d, `CREATE SCHEMA acme`, nil)
				mustExec(t, d, `COMMENT ON SCHEMA acme IS 'sluice tenant'`, nil)
			},
			"an empty schema":   func(t *testing.T, d *db.DB) { mustExec(t, d, `CREATE SCHEMA acme`, nil) },
			"no migration done": func(t *testing.T, d *db.DB) { unmigrated(t, d) },
		},
		"sqlite": {
			"an empty file": func(t *testing.T, d *db.DB) { write(t, tenantPattern(d, "acme")) },
			"a log alone":   func(t *testing.T, d *db.DB) { write(t, tenantPattern(d, "acme")+"-wal") },
			"erased": func(t *testing.T, d *db.DB) {
				create(t, d, "acme")
				erase := dbtest.Open(t, "sqlite://"+tenantPattern(d, "acme"))
				mustExec(t, erase, `DROP TABLE workers`, nil)
				if _, err := erase.SchemaStatus(t.Context()); err != nil {
					t.Fatal(err)
				}
				if err := d.CloseTenant(in(t, "acme")); err != nil {
					t.Fatal(err)
				}
				if _, err := d.SchemaStatus(in(t, "acme")); !errors.Is(err, db.ErrTenantNotFound) ||
					!strings.Contains(err.Error(), "interrupted") {
					t.Errorf("a tenant whose drop was interrupted: %v", err)
				}
			},
		},
	}
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		for what, leave := range leave[d.Backend()] {
			leave(t, d)
			create(t, d, "acme")
			if err := d.CheckSchema(in(t, "acme")); err != nil {
				t.Errorf("%s: created: %v", what, err)
			}
			if err := d.DropTenant(in(t, "acme"), nil); err != nil {
				t.Fatalf("%s: dropped: %v", what, err)
			}
			leave(t, d)
			// That schema could belong to anybody.
			if err := d.DropTenant(in(t, "acme"), nil); err != nil && what != "an empty schema" {
				t.Errorf("%s: dropped at once: %v", what, err)
			}
			if got := files(t, d); strings.Contains(got, "acme") {
				t.Errorf("%s: left behind: %s", what, got)
			}
			if d.Backend() == "postgres" {
				mustExec(t, d, `DROP SCHEMA IF EXISTS acme CASCADE`, nil)
			}
		}
	})
}

func write(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

// unmigrated creates a schema whose first migration has only begun.
func unmigrated(t *testing.T, d *db.DB) {
	t.Helper()
	mustExec(t, d, `CREATE SCHEMA acme`, nil)
	mustExec(t, d, `CREATE TABLE acme.goose_db_version (id integer PRIMARY KEY GENERATED BY DEFAULT AS IDENTITY,
  version_id bigint NOT NULL, is_applied boolean NOT NULL, tstamp timestamp NOT NULL DEFAULT now())`, nil)
	mustExec(t, d, `INSERT INTO acme.goose_db_version (version_id, is_applied) VALUES (0, true)`, nil)
}

// TestCreateAndDropAtOnce checks that a tenant exists completely or not at all, whatever two processes do to it.
func TestCreateAndDropAtOnce(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		handles := []*db.DB{d, dbtest.Open(t, d.URL())}
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				for range 5 {
					var err error
					if i%2 == 0 {
						err = handles[i/2].CreateTenant(in(t, "acme"))
					} else {
						err = handles[i/2].DropTenant(in(t, "acme"), nil)
					}
					if err != nil && !gone(err) {
						t.Errorf("%d: %v", i, err)
					}
				}
			})
		}
		wg.Wait()
		for _, h := range handles {
			if err := h.CloseTenant(in(t, "acme")); err != nil {
				t.Error(err)
			}
		}
		create(t, d, "acme")
		if err := handles[1].CheckSchema(in(t, "acme")); err != nil {
			t.Error(err)
		}
		if got := workersOf(t, in(t, "acme"), handles[1]); got != "" {
			t.Errorf("it has %q", got)
		}
	})
}

// gone reports an error that the other process caused because it was faster.
func gone(err error) bool {
	for _, s := range []string{
		"no such tenant", "no such table", "database is closed", "3F000", "42P01",
		"unable to open", "no such file",
	} {
		if strings.Contains(err.Error(), s) {
			return true
		}
	}
	return false
}

// TestOneConnectionListens checks that one connection listens for any number of tenants, each of which receives only
// its own notifications.
func TestOneConnectionListens(t *testing.T) {
	t.Parallel()
	const n = 30
	d := dbtest.Postgres(t)
	other := dbtest.Open(t, d.URL())
	heard := make([]chan string, n)
	listening, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for i := range n {
		name := fmt.Sprintf("t%d", i)
		create(t, d, name)
		heard[i] = make(chan string, 100)
		wg.Go(func() {
			if err := d.Listen(db.WithTenant(listening, name), func(topic string) { heard[i] <- topic }); err != nil {
				t.Error(err)
			}
		})
	}
	for i := range n {
		if topic := <-heard[i]; topic != "" {
			t.Errorf("tenant %d first hears %q", i, topic)
		}
	}
	if conns := count(t, other,
		`SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE datname = current_database()
  AND query LIKE '%LISTEN sluice%' AND pid <> pg_backend_pid()`, nil); conns != 1 {
		t.Errorf("%d connections listen", conns)
	}
	for i := range n {
		err := other.Transaction(in(t, fmt.Sprintf("t%d", i)), func(tx db.Tx) error {
			tx.Notify(fmt.Sprintf("topic%d", i))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if topic := <-heard[i]; topic != fmt.Sprintf("topic%d", i) {
			t.Errorf("tenant %d heard %q", i, topic)
		}
	}
	cancel()
	wg.Wait()
	for i := range n {
		if len(heard[i]) > 0 {
			t.Errorf("tenant %d heard %q besides", i, <-heard[i])
		}
	}
}
