package db_test

import (
	"bytes"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
)

// TestOpenExisting checks that OpenExisting creates nothing, and works on an existing file.
func TestOpenExisting(t *testing.T) {
	t.Parallel()
	url := dbtest.EmptySQLiteURL(t)
	path := strings.TrimPrefix(url, "sqlite://")
	d, err := db.OpenExisting(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Migrate(t.Context()); !errors.Is(err, db.ErrFileNotFound) || !strings.Contains(err.Error(), path) {
		t.Errorf("%v, expected ErrNoFile with the path", err)
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
	if err := dbtest.Open(t, url).Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := d.CheckSchema(t.Context()); err != nil {
		t.Error(err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

// TestForeignFiles checks that files of other programs are refused and left unchanged to the last byte.
func TestForeignFiles(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "other.db")
	other, err := sql.Open("sqlite3", path)
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{
		"CREATE TABLE users (name TEXT)", "CREATE TABLE goose_db_version (version_id INTEGER, is_applied INTEGER)",
		"INSERT INTO goose_db_version VALUES (1, 1)",
	} {
		if _, err := other.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
		refusedUntouched(t, path, db.ErrForeignSchema)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	broken := filepath.Join(t.TempDir(), "broken.db")
	for name, content := range map[string][]byte{
		"text":           []byte(strings.Repeat("this is no database ", 300)),
		"broken in half": append(whole[:100:100], bytes.Repeat([]byte{0xff}, len(whole)-100)...),
	} {
		if err := os.WriteFile(broken, content, 0o600); err != nil {
			t.Fatal(name, err)
		}
		refusedUntouched(t, broken, db.ErrCorrupt)
	}
}

func refusedUntouched(t *testing.T, path string, want error) {
	t.Helper()
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	d := dbtest.Open(t, "sqlite://"+path)
	if err := d.Migrate(t.Context()); !errors.Is(err, want) || errors.Is(err, db.ErrUnavailable) ||
		!strings.Contains(err.Error(), path) {
		t.Errorf("%v, expected %q with the path", err, want)
	}
	after, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(before, after) {
		t.Errorf("%s was changed", path)
	}
}

// TestHalfMigrated checks that an empty file, and one in which the first migration was interrupted, belong to this
// program.
func TestHalfMigrated(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "sluice.db")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	begun, err := sql.Open("sqlite3", path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = begun.ExecContext(t.Context(),
		`CREATE TABLE goose_db_version (id INTEGER PRIMARY KEY AUTOINCREMENT, version_id INTEGER NOT NULL,
		is_applied INTEGER NOT NULL, tstamp TIMESTAMP DEFAULT (datetime('now')));
		INSERT INTO goose_db_version (version_id, is_applied) VALUES (0, 1)`)
	if closing := begun.Close(); err != nil || closing != nil {
		t.Fatal(err, closing)
	}
	if err := dbtest.Open(t, "sqlite://"+path).Migrate(t.Context()); err != nil {
		t.Error(err)
	}
}
