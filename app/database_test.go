package app_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

func TestDatabaseUnreachable(t *testing.T) {
	t.Parallel()
	p := &program{url: "postgres://nobody@127.0.0.1:1/none?sslmode=disable"}
	for _, args := range [][]string{
		{"list"},
		{"run", "../examples/first.yaml"},
		{"serve"},
		{"verify"},
		{"migrate", "status"},
	} {
		p.fails(t, 4, []string{"sluice: database unreachable", "connection refused", "SLUICE_DATABASE_URL"}, args...)
	}
	broken := &program{url: "sqlite://" +
		file(t, "broken.db", "this is no database, and it is longer than the header of one would be")}
	before, err := os.ReadFile(strings.TrimPrefix(broken.url, "sqlite://"))
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"list", "migrate", "serve"} {
		broken.fails(t, 4, []string{"is not a database", "broken.db", "name another with --database-url"}, command)
	}
	if r := broken.run(t, "list"); strings.Contains(r.stderr, "unreachable") || strings.Contains(r.stderr, "running") {
		t.Errorf("said:\n%s", r.stderr)
	}
	if after, err := os.ReadFile(strings.TrimPrefix(broken.url, "sqlite://")); err != nil ||
		string(after) != string(before) {
		t.Errorf("the file was changed: %v", err)
	}
	missing := &program{url: "sqlite:///nowhere/at/all.db"}
	missing.fails(t, 4, nil, "list")
}

// TestSchema checks that a server's database that is behind or ahead is refused with a hint, and that a file is
// migrated.
func TestSchema(t *testing.T) {
	t.Parallel()
	type status struct {
		Tenant          string
		Current, Newest int64
	}
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		p := &program{url: dbtest.EmptyPostgresURL(t)}
		for _, args := range [][]string{{"list"}, {"run", "../examples/first.yaml"}, {"serve"}, {"verify"}} {
			p.fails(t, 4, []string{"behind", "run `sluice migrate`"}, args...)
		}
		contains(t, p.ok(t, "migrate", "status"), "TENANT", "default", "behind")
		if s := decode[status](t, p.ok(t, "migrate", "status", "-o", "json")); s.Current != 0 || s.Newest < 1 ||
			s.Tenant != "default" {
			t.Errorf("before: %+v", s)
		}
		contains(t, p.ok(t, "migrate"), "up to date")
		if s := decode[status](t, p.ok(t, "migrate", "up", "-o", "json")); s.Current != s.Newest {
			t.Errorf("after: %+v", s)
		}
		contains(t, p.ok(t, "verify"), "no breach")
		d := dbtest.Open(t, p.url)
		mustExec(t, d, "INSERT INTO {goose_db_version} (version_id, is_applied) VALUES (9999, true)", nil)
		p.fails(t, 4, []string{
			"ahead", "install a sluice with schema version 9999 or newer",
			"`sluice migrate status`",
		}, "list")
		p.fails(t, 4, []string{"ahead"}, "migrate")
		p.fails(t, 3, []string{"no such tenant"}, "list", "--tenant", "acme")
		p.fails(t, 2, []string{"invalid tenant name", "reserved"}, "list", "--tenant", "pg_catalog")
	})
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		p := &program{url: dbtest.EmptySQLiteURL(t)}
		if err := os.WriteFile(strings.TrimPrefix(p.url, "sqlite://"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if s := decode[status](t, p.ok(t, "migrate", "status", "-o", "json")); s.Current != 0 {
			t.Errorf("before: %+v", s)
		}
		contains(t, p.ok(t, "verify"), "no breach")
		if s := decode[status](t, p.ok(t, "migrate", "status", "-o", "json")); s.Current != s.Newest {
			t.Errorf("after: %+v", s)
		}
		p.fails(t, 3, []string{"no such tenant"}, "list", "--tenant", "acme")
		p.fails(t, 2, []string{"invalid tenant name"}, "list", "--tenant", "../x")
	})
}

// TestMissingFile checks that only commands that create executions create a database file.
func TestMissingFile(t *testing.T) {
	t.Parallel()
	p := &program{url: dbtest.EmptySQLiteURL(t)}
	path := strings.TrimPrefix(p.url, "sqlite://")
	for _, args := range [][]string{
		{"list"},
		{"show", nobody},
		{"events"},
		{"outbox"},
		{"workers"},
		{"verify"},
		{"cleanup-events", "--older-than", "1d", "--dry-run"},
		{"cleanup-events", "--older-than", "1d"},
		{"pause", nobody},
		{"resume", nobody},
		{"cancel", nobody},
		{"retry", nobody},
		{"annotate", nobody, "--data", "{}"},
		{"migrate", "status"},
	} {
		p.fails(t, 4, []string{"database file not found: " +
			path, "`sluice run FILE` makes one, or name another with --database-url"}, args...)
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
	for _, args := range [][]string{
		{"run", "../examples/first.yaml"},
		{"start", "../examples/first.yaml"},
		{"migrate"},
		{"migrate", "up"},
	} {
		fresh := &program{url: dbtest.EmptySQLiteURL(t)}
		fresh.ok(t, args...)
		fresh.ok(t, "list")
	}
}

// TestForeignDatabase checks that every command refuses another program's file and leaves it unchanged.
func TestForeignDatabase(t *testing.T) {
	t.Parallel()
	p := &program{url: dbtest.SQLiteURL(t)}
	d := dbtest.Open(t, p.url)
	// Without the table of executions, the rest could belong to any program.
	mustExec(t, d, "ALTER TABLE {pipeline_executions} RENAME TO customers", nil)
	for _, args := range [][]string{
		{"list"},
		{"verify"},
		{"run", "../examples/first.yaml"},
		{"start", "../examples/first.yaml"},
		{"serve"},
		{"migrate"},
		{"migrate", "status"},
	} {
		p.fails(t, 4, []string{"is not a sluice database", "another program", "name another with --database-url"},
			args...)
	}
}

// TestDirectoryForDatabase uses a URL that names a directory.
func TestDirectoryForDatabase(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := &program{url: "sqlite://" + dir}
	p.fails(t, 4, []string{"is a directory"}, "list")
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func mustExec(t *testing.T, d *db.DB, statement string, args db.Args) {
	t.Helper()
	err := d.Transaction(t.Context(), func(tx db.Tx) error {
		_, err := tx.Exec(statement, args)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// expire sets the leases of all workers to the past, as if their processes had been silent.
func expire(t *testing.T, url string) {
	t.Helper()
	d := dbtest.Open(t, url)
	err := d.Transaction(t.Context(), func(tx db.Tx) error {
		_, err := tx.Exec("UPDATE {workers} SET lease_expires_at = $past",
			db.Args{"past": dbtype.NewTime(tx.Now.Add(-time.Hour))})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
