package dbtest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/sluiceworks/sluice/migrations"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest/localpg"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// URLEnv is the environment variable with the URL of a server to use. Its user must be a superuser.
const URLEnv = "SLUICE_TEST_POSTGRES_URL"

// server returns the superuser's URL of the server that this process's tests share. A server that it starts is not
// stopped, because it ends with the process, however the process ends.
var server = sync.OnceValues(func() (string, error) {
	if u := os.Getenv(URLEnv); u != "" {
		return u, nil
	}
	s, err := localpg.Start(context.Background(), localpg.Config{})
	if err != nil {
		return "", err
	}
	return s.URL(), nil
})

// template returns the name of the server's migrated database, of which each test gets a copy.
var template = sync.OnceValues(func() (string, error) {
	admin, err := server()
	if err != nil {
		return "", err
	}
	return makeTemplate(context.Background(), admin)
})

// PostgresURL returns the URL of a new, migrated database without rows, for a test that starts the program. The
// database is dropped at the end of the test, even if clients are still connected.
func PostgresURL(t testing.TB) string {
	t.Helper()
	from, err := template()
	if err != nil {
		t.Fatal("prepare PostgreSQL for tests: ", err)
	}
	return createDatabase(t, from+" STRATEGY FILE_COPY")
}

// EmptyPostgresURL is PostgresURL without a schema, for tests of migrations.
func EmptyPostgresURL(t testing.TB) string {
	t.Helper()
	return createDatabase(t, "template0 STRATEGY FILE_COPY")
}

// PostgresURLWith is EmptyPostgresURL with further options of CREATE DATABASE, such as an encoding.
func PostgresURLWith(t testing.TB, options string) string {
	t.Helper()
	return createDatabase(t, "template0 "+options)
}

// createDatabase copies a database for one test. from is a template with options. FILE_COPY is several times faster
// than the default for a small database.
func createDatabase(t testing.TB, from string) string {
	t.Helper()
	name := "test_" + hex.EncodeToString(newID())
	t.Cleanup(func() {
		// The test's own context has ended by now.
		if err := admin(context.Background(), `DROP DATABASE IF EXISTS `+name+` WITH (FORCE)`); err != nil {
			t.Errorf("drop the test's database: %v", err)
		}
	})
	if err := admin(t.Context(), `CREATE DATABASE `+name+` TEMPLATE `+from); err != nil {
		t.Fatal("make a PostgreSQL database for the test: ", err)
	}
	u, err := onServer(name)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func newID() []byte {
	id := dbtype.NewID()
	return id[:]
}

// ServerURL returns the superuser's URL of the tests' server.
func ServerURL(t testing.TB) string {
	t.Helper()
	u, err := server()
	if err != nil {
		t.Fatal("prepare PostgreSQL for tests: ", err)
	}
	return u
}

func onServer(database string) (string, error) {
	admin, err := server()
	if err != nil {
		return "", err
	}
	return withDatabase(admin, database)
}

func withDatabase(server, database string) (string, error) {
	u, err := url.Parse(server)
	if err != nil {
		return "", fmt.Errorf("read the server's URL: %w", err)
	}
	u.Path = "/" + database
	return u.String(), nil
}

// admin runs one statement as the superuser, on a separate connection, so that parallel tests do not wait for each
// other.
func admin(ctx context.Context, statement string) error {
	u, err := server()
	if err != nil {
		return err
	}
	return onConn(ctx, u, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, statement)
		return err
	})
}

func onConn(ctx context.Context, url string, fn func(*pgx.Conn) error) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	return errors.Join(fn(conn), conn.Close(context.WithoutCancel(ctx)))
}

// makeTemplate finds or makes the template of this binary's migrations, and returns its name. The name contains the
// migrations' hash, so that an edited step takes effect on a server that is used again. A lock keeps parallel test
// processes from making the template twice.
func makeTemplate(ctx context.Context, admin string) (string, error) {
	hash, err := hashOf(migrations.Postgres)
	if err != nil {
		return "", err
	}
	name := "template_" + hash
	err = onConn(ctx, admin, func(conn *pgx.Conn) error {
		if _, err := conn.Exec(ctx, `SELECT pg_advisory_lock(hashtext('sluice test template'))`); err != nil {
			return err
		}
		var found bool
		err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)`, name).Scan(&found)
		if err != nil || found {
			return err
		}
		return fillTemplate(ctx, conn, admin, name)
	})
	return name, err
}

// fillTemplate makes the template under another name and renames it last, so that a process that dies leaves no
// incomplete template.
func fillTemplate(ctx context.Context, conn *pgx.Conn, admin, name string) error {
	unfinished := name + "_unfinished"
	for _, statement := range []string{`DROP DATABASE IF EXISTS ` + unfinished + ` WITH (FORCE)`, `CREATE DATABASE ` +
		unfinished} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return err
		}
	}
	u, err := withDatabase(admin, unfinished)
	if err != nil {
		return err
	}
	d, err := db.Open(ctx, u)
	if err != nil {
		return err
	}
	if err := errors.Join(d.Migrate(ctx), d.Close()); err != nil {
		return err
	}
	_, err = conn.Exec(ctx, `ALTER DATABASE `+unfinished+` RENAME TO `+name)
	return err
}

func hashOf(steps fs.FS) (string, error) {
	h := sha256.New()
	err := fs.WalkDir(steps, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		b, err := fs.ReadFile(steps, path)
		fmt.Fprintf(h, "%s %d\n%s", path, len(b), b)
		return err
	})
	return hex.EncodeToString(h.Sum(nil)[:8]), err
}
