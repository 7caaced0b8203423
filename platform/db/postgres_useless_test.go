package db_test

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
)

// setting returns the value of a session setting.
func setting(t *testing.T, d *db.DB, name string) (value string) {
	t.Helper()
	err := d.Query(t.Context(), `SELECT current_setting($name)`, db.Args{"name": name},
		func(scan db.Scan) error { return scan(&value) })
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func execute(ctx context.Context, t *testing.T, d *db.DB, statement string) error {
	t.Helper()
	return d.Transaction(ctx, func(tx db.Tx) error {
		_, err := tx.Exec(statement, nil)
		return err
	})
}

// TestCommitsAreDurable checks that commits survive a crash even if the database's default is another, unless the URL
// asks for less.
func TestCommitsAreDurable(t *testing.T) {
	t.Parallel()
	u := dbtest.PostgresURL(t)
	parsed, err := url.Parse(u)
	if err != nil {
		t.Fatal(err)
	}
	name := parsed.Path[1:]
	for _, test := range []struct{ given, asked, want string }{
		{"off", "", "on"}, {"local", "", "on"}, {"on", "off", "off"}, {"off", "off", "off"},
	} {
		if err := execute(t.Context(), t, dbtest.Open(t, u), `ALTER DATABASE "`+name+`" SET synchronous_commit = `+
			test.given); err != nil {
			t.Fatal(err)
		}
		asked := *parsed
		if test.asked != "" {
			q := asked.Query()
			q.Set("synchronous_commit", test.asked)
			asked.RawQuery = q.Encode()
		}
		if got := setting(t, dbtest.Open(t, asked.String()), "synchronous_commit"); got != test.want {
			t.Errorf("the database has %q, the URL %q: %q, expected %q", test.given, test.asked, got, test.want)
		}
	}
}

// TestUselessConnections checks that a session that has become read-only is replaced.
func TestUselessConnections(t *testing.T) {
	t.Parallel()
	u := dbtest.PostgresURL(t)
	parsed, err := url.Parse(u)
	if err != nil {
		t.Fatal(err)
	}
	d, admin := dbtest.Open(t, u), dbtest.Open(t, u)
	other := func(statement string) {
		t.Helper()
		if err := execute(t.Context(), t, admin, statement); err != nil {
			t.Fatal(err)
		}
	}
	const write = `INSERT INTO {chores} (name) VALUES ('useless') ON CONFLICT DO NOTHING`
	other(`ALTER DATABASE "` + parsed.Path[1:] + `" SET default_transaction_read_only = on`)
	for _, ctx := range []context.Context{t.Context(), db.WithHeartbeatPool(t.Context())} {
		if err := execute(ctx, t, d, `SET default_transaction_read_only = on`); err != nil &&
			!errors.Is(err, db.ErrReadOnly) {
			t.Fatal(err)
		}
		if err := execute(ctx, t, d, write); !errors.Is(err, db.ErrReadOnly) || errors.Is(err, db.ErrUnavailable) ||
			!db.Away(err) || !db.IsUnhealthy(err) ||
			!strings.Contains(db.Advice(err), "name the primary") {
			t.Errorf("a write on a read-only session: %v", err)
		}
	}
	before := d.Sessions()
	other(`ALTER DATABASE "` + parsed.Path[1:] + `" SET default_transaction_read_only = off`)
	for _, ctx := range []context.Context{t.Context(), db.WithHeartbeatPool(t.Context())} {
		dbtest.Eventually(t, "writable", func() bool { return execute(ctx, t, d, write) == nil })
	}
	if d.Sessions() <= before {
		t.Errorf("the reserved connection was not replaced: %d made before and after", before)
	}
}
