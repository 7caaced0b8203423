package app_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
	"github.com/sluiceworks/sluice/platform/db/dbtest/localpg"
)

// throughPooler returns the database's URL through a PgBouncer with its default settings.
func throughPooler(t *testing.T, database, mode string) string {
	t.Helper()
	pooler, err := localpg.StartPooler(t.Context(), database, mode)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := pooler.Stop(); err != nil {
			t.Error(err)
		}
	})
	return pooler.URL()
}

// withParameter adds a parameter to a URL.
func withParameter(t *testing.T, database, name, value string) string {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set(name, value)
	u.RawQuery = q.Encode()
	return u.String()
}

// TestPoolerInSessionMode checks that everything works with the pooler's defaults, with tenants in schemas of their
// own.
func TestPoolerInSessionMode(t *testing.T) {
	t.Parallel()
	direct := dbtest.EmptyPostgresURL(t)
	p := &program{url: throughPooler(t, direct, "session")}
	p.ok(t, "migrate")
	p.ok(t, "run", "../examples/first.yaml")
	p.ok(t, "tenants", "create", "acme")
	acme := p.of("acme")
	acme.ok(t, "run", "../examples/first.yaml")
	contains(t, acme.ok(t, "verify"), "checked 1 pipeline execution", "no breach")
	contains(t, p.ok(t, "verify"), "checked 1 pipeline execution", "no breach")
	var tables int
	d := dbtest.Open(t, direct)
	err := d.Query(t.Context(),
		`SELECT count(*) FROM pg_catalog.pg_tables WHERE schemaname = 'acme' AND tablename = 'task_executions'`, nil,
		func(scan db.Scan) error { return scan(&tables) })
	if err != nil || tables != 1 {
		t.Errorf("%d tables in the tenant's schema, %v", tables, err)
	}
}

// TestPoolerInTransactionMode checks that everything works if the URL names the mode, and that migrations, and a URL
// without it, are refused with a hint.
func TestPoolerInTransactionMode(t *testing.T) {
	t.Parallel()
	direct := dbtest.EmptyPostgresURL(t)
	through := throughPooler(t, direct, "transaction")
	p := &program{url: withParameter(t, through, "pool_mode", "transaction")}
	p.fails(t, 4, []string{"migrations need a direct connection", "--database-url"}, "migrate")
	(&program{url: direct}).ok(t, "migrate")
	p.ok(t, "run", "../examples/first.yaml")
	p.ok(t, "list")
	contains(t, p.ok(t, "events", "--limit", "1000"), "pipeline_completed")
	contains(t, p.ok(t, "verify"), "no breach")
	serving := p.begin(t, "serve", "--pipelines", "../examples")
	id := strings.TrimSpace(p.ok(t, "start", "../examples/first.yaml"))
	dbtest.Eventually(t, "the run completes", func() bool { return strings.Contains(p.ok(t, "show", id), "Completed") })
	if r := serving.stop(t); r.code != 0 {
		t.Errorf("serve: exit code %d\n%s", r.code, r.stderr)
	}
	contains(t, p.ok(t, "verify"), "no breach")
	undeclared := &program{url: through}
	r := undeclared.run(t, "run", "../examples/first.yaml")
	if r.code != 0 {
		contains(t, r.stderr, "pool_mode=transaction")
	}
	other := &program{url: withParameter(t, direct, "pool_mode", "statement")}
	other.fails(t, 2, []string{`unknown pool_mode "statement"`}, "list")
}

// withUser replaces the user of a URL.
func withUser(t *testing.T, database, user string) string {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.User(user)
	return u.String()
}
