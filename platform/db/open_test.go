package db_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
	"github.com/sluiceworks/sluice/platform/db/dbtest/localpg"
)

func TestWrongURLs(t *testing.T) {
	t.Parallel()
	for _, url := range []string{
		"", "sluice.db", "sqlite://", "sqlite:x.db", "sqlite://:memory:", "sqlite://x.db?mode=ro",
		"mysql://root@localhost/x",
		"postgres://u:secret@[::1/x", "postgres://u:secret@h:port/x", "postgres://u:secret@h/x?sslmode=sometimes",
		"sqlite://a\x00b",
	} {
		d, err := db.Open(t.Context(), url)
		if !errors.Is(err, db.ErrInvalidURL) || errors.Is(err, db.ErrUnavailable) {
			t.Errorf("%q gave %v, expected ErrURL", url, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the error shows the password: %v", err)
		}
		if d != nil {
			t.Errorf("%q gave a handle: %v", url, d.Close())
		}
	}
}

// TestNoServer checks the error if nothing listens at the port.
func TestNoServer(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = db.Open(t.Context(), "postgres://u:secret@"+l.Addr().String()+"/x?sslmode=disable")
	if !errors.Is(err, db.ErrUnavailable) || strings.Contains(err.Error(), "secret") {
		t.Errorf("%v, expected ErrUnavailable without the password", err)
	}
}

func TestNoSuchDatabase(t *testing.T) {
	t.Parallel()
	url := dbtest.EmptyPostgresURL(t)
	_, err := db.Open(t.Context(), strings.Replace(url, "/test_", "/no_such_", 1))
	if !errors.Is(err, db.ErrUnavailable) || !strings.Contains(err.Error(), "no_such_") {
		t.Errorf("%v, expected ErrUnavailable with the database's name", err)
	}
}

// TestServerStops checks that each error of a handle is ErrUnavailable after the server stopped.
func TestServerStops(t *testing.T) {
	t.Parallel()
	server, err := localpg.Start(t.Context(), localpg.Config{})
	if err != nil {
		t.Fatal(err)
	}
	d := dbtest.Open(t, server.URL())
	if err := d.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	err = d.Transaction(t.Context(), func(tx db.Tx) error {
		if err := server.Stop(); err != nil {
			return err
		}
		_, err := tx.Exec(`SELECT 1`, nil)
		return err
	})
	if !errors.Is(err, db.ErrUnavailable) {
		t.Errorf("the open transaction gave %v, expected ErrUnavailable", err)
	}
	for range 3 { // first idle connections, then none
		for name, err := range map[string]error{
			"Query":       d.Query(t.Context(), `SELECT 1`, nil, func(func(...any) error) error { return nil }),
			"Transaction": d.Transaction(t.Context(), func(db.Tx) error { return nil }),
			"SyncClock":   d.SyncClock(t.Context()),
			"CheckSchema": d.CheckSchema(t.Context()),
			"new tenant":  d.CreateTenant(db.WithTenant(t.Context(), "acme")),
		} {
			if !errors.Is(err, db.ErrUnavailable) {
				t.Errorf("%s gave %v, expected ErrUnavailable", name, err)
			}
		}
	}
}

func TestUnusableFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	text := filepath.Join(dir, "text.db")
	if err := os.WriteFile(text, []byte(strings.Repeat("this is no database\n", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		path string
		want error
	}{
		"missing directory": {filepath.Join(dir, "none", "x.db"), db.ErrUnavailable},
		"a directory":       {dir, db.ErrCorrupt},
		"another format":    {text, db.ErrCorrupt},
		"file as directory": {filepath.Join(text, "x.db"), db.ErrUnavailable},
	} {
		if err := openAndMigrate(t.Context(), "sqlite://"+c.path); !errors.Is(err, c.want) ||
			!strings.Contains(err.Error(), filepath.Base(c.path)) {
			t.Errorf("%s: %v, expected %q with the file's name", name, err, c.want)
		}
	}
	if b, err := os.ReadFile(text); err != nil || !strings.HasPrefix(string(b), "this is no database") {
		t.Errorf("the file of another format was touched: %q %v", b[:20], err)
	}
}

func openAndMigrate(ctx context.Context, url string) error {
	d, err := db.Open(ctx, url)
	if err != nil {
		return err
	}
	return errors.Join(d.Migrate(ctx), d.Close())
}

// TestOddFileNames checks that special characters in a file name are not read as options or escapes.
func TestOddFileNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"a b.db", "a#b.db", "a%20b.db", "ü&=;.db", "noext", ".hidden"} {
		path := filepath.Join(t.TempDir(), name)
		if err := openAndMigrate(t.Context(), "sqlite://"+path); err != nil {
			t.Errorf("%q: %v", name, err)
		}
		if _, err := os.Stat(path); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// TestRelativePath checks that a relative path is below the working directory.
func TestRelativePath(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := openAndMigrate(t.Context(), "sqlite://sluice.db"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat("sluice.db"); err != nil {
		t.Error(err)
	}
}
