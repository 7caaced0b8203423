// Package dbtest provides real databases for tests: a file for SQLite, and a database on a local server for
// PostgreSQL. Each is new, migrated and isolated. There are no fakes: if PostgreSQL is missing, the test fails and
// says what to install.
package dbtest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/sluiceworks/sluice/platform/db"
)

// Each runs a test on both databases, as parallel subtests "sqlite" and "postgres". The database is closed after the
// cleanups that run registers.
func Each(t *testing.T, run func(t *testing.T, d *db.DB)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		run(t, SQLite(t))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		run(t, Postgres(t))
	})
}

// EachEmpty is Each without a schema and without a handle. It serves tests of migrations and of several handles on
// one database.
func EachEmpty(t *testing.T, run func(t *testing.T, url string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		run(t, EmptySQLiteURL(t))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		run(t, EmptyPostgresURL(t))
	})
}

// SQLite opens a new, migrated file, which is removed at the end of the test.
func SQLite(t testing.TB) *db.DB {
	t.Helper()
	return Open(t, SQLiteURL(t))
}

// SQLiteURL returns the URL of a new, migrated file, for a test that starts the program.
func SQLiteURL(t testing.TB) string {
	t.Helper()
	content, err := migratedFile()
	if err != nil {
		t.Fatal("prepare SQLite for tests: ", err)
	}
	path := filepath.Join(t.TempDir(), "sluice.db")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return "sqlite://" + path
}

// migratedFile returns the content of a migrated file, of which each test gets a copy.
var migratedFile = sync.OnceValues(func() (content []byte, err error) {
	dir, err := os.MkdirTemp("", "sluice-template")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path := filepath.Join(dir, "sluice.db")
	ctx := context.Background()
	d, err := db.Open(ctx, "sqlite://"+path)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(d.Migrate(ctx), d.Close()); err != nil { // closing copies the log into the file
		return nil, err
	}
	return os.ReadFile(path)
})

// EmptySQLiteURL returns the URL of a file that does not exist yet.
func EmptySQLiteURL(t testing.TB) string {
	t.Helper()
	return "sqlite://" + filepath.Join(t.TempDir(), "sluice.db")
}

// Postgres opens a new, migrated database on the tests' server, which is dropped at the end of the test.
func Postgres(t testing.TB) *db.DB {
	t.Helper()
	return Open(t, PostgresURL(t))
}

// Open opens a database until the end of the test, for a test that needs several handles on one.
func Open(t testing.TB, url string) *db.DB {
	t.Helper()
	d, err := db.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Errorf("close the database: %v", err)
		}
	})
	return d
}
