package app_test

import (
	"strings"
	"testing"

	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// TestSearchPathOfTheURL checks that a search_path in the URL is refused, because tenants select the schema.
func TestSearchPathOfTheURL(t *testing.T) {
	t.Parallel()
	database := dbtest.EmptyPostgresURL(t)
	for _, url := range []string{
		withParameter(t, database, "search_path", "other"),
		withParameter(t, database, "options", "-csearch_path=other"),
	} {
		p := &program{url: url}
		p.fails(t, 2, []string{"search_path", "--tenant"}, "migrate")
	}
}

// TestEncodings checks that a database that cannot hold every text is refused before anything is written.
func TestEncodings(t *testing.T) {
	t.Parallel()
	for _, encoding := range []string{"LATIN1", "SQL_ASCII", "EUC_JP"} {
		p := &program{url: dbtest.PostgresURLWith(t, "ENCODING '"+encoding+"' LC_COLLATE 'C' LC_CTYPE 'C'")}
		p.fails(t, 4, []string{"encoding is " + encoding, "UTF8", "CREATE DATABASE"}, "migrate")
		p.fails(t, 4, []string{"encoding is " + encoding}, "run", "../examples/first.yaml")
	}
}

// TestRights checks that a user who may not create tables gets a hint about what to grant, and that a schema of the
// user's own works.
func TestRights(t *testing.T) {
	t.Parallel()
	database := dbtest.EmptyPostgresURL(t)
	d := dbtest.Open(t, database)
	role := "limited_" + dbtype.NewID().String()[24:]
	mustExec(t, d, `CREATE ROLE `+role+` LOGIN`, nil)
	defer func() {
		mustExec(t, d, `DROP OWNED BY `+role+` CASCADE`, nil)
		mustExec(t, d, `DROP ROLE `+role, nil)
	}()
	mustExec(t, d, `CREATE SCHEMA own AUTHORIZATION `+role, nil)
	p := &program{url: withUser(t, database, role)}
	p.fails(t, 4, []string{"permission denied", "GRANT CREATE", "--tenant"}, "migrate")
	own := p.of("own")
	own.ok(t, "migrate")
	own.ok(t, "run", "../examples/first.yaml")
	contains(t, own.ok(t, "verify"), "no breach")
}

// TestMigrationSaysForWhomItWaits checks that the holder of a lock is named, and that an interrupt leaves nothing
// behind.
func TestMigrationSaysForWhomItWaits(t *testing.T) {
	t.Parallel()
	database := dbtest.EmptyPostgresURL(t)
	d := dbtest.Open(t, database)
	p := &program{url: database}
	held, release := make(chan struct{}), make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		ended <- d.Transaction(t.Context(), func(tx db.Tx) error {
			const lock = `SELECT pg_catalog.pg_advisory_xact_lock(hashtext('sluice migrate'), hashtext('public'))`
			if _, err := tx.Exec(lock, nil); err != nil {
				return err
			}
			close(held)
			<-release
			return nil
		})
	}()
	<-held
	waiting := p.begin(t, "migrate")
	dbtest.Eventually(t, "the wait is reported",
		func() bool { return strings.Contains(waiting.stderr.String(), "waiting for process") })
	close(release)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	r := waiting.wait(t)
	if r.code != 0 {
		t.Errorf("exit code %d\n%s", r.code, r.stderr)
	}
	contains(t, r.stderr, "waiting for process", "another migration or drop holds the lock")
}

// TestConnectionLimit checks that a server whose role may have fewer connections than it would open keeps its lease
// and completes all tasks.
func TestConnectionLimit(t *testing.T) {
	t.Parallel()
	database := dbtest.EmptyPostgresURL(t)
	d := dbtest.Open(t, database)
	role := "few_" + dbtype.NewID().String()[24:]
	mustExec(t, d, `CREATE ROLE `+role+` LOGIN CONNECTION LIMIT 4`, nil)
	defer func() {
		mustExec(t, d, `DROP OWNED BY `+role+` CASCADE`, nil)
		mustExec(t, d, `DROP ROLE `+role, nil)
	}()
	mustExec(t, d, `CREATE SCHEMA few AUTHORIZATION `+role, nil)
	few := (&program{url: withUser(t, database, role)}).of("few")
	few.ok(t, "migrate")
	operator := (&program{url: database}).of("few") // a user whom the limit does not affect
	server := few.begin(t, "serve")
	operator.ok(t, "start",
		file(t, "many.yaml",
			"name: many\ntasks:\n  - {id: a, uses: sleep, with: {duration: 1ms}}\n  - {id: b, needs: [a], run: "+
				"'true'}\n"), "--count", "100")
	dbtest.Eventually(t, "all runs complete", func() bool {
		counts := decode[listing[struct {
			Status string `json:"status"`
			Count  int    `json:"count"`
		}]](t, operator.ok(t, "list", "--counts", "-o", "json"))
		return len(counts.Items) == 1 && counts.Items[0].Status == "Completed" && counts.Items[0].Count == 100
	})
	if r := server.stop(t); r.code != 0 || strings.Contains(r.stderr, "lease has expired") {
		t.Errorf("exit code %d\n%s", r.code, r.stderr)
	}
	contains(t, operator.ok(t, "verify"), "no breach")
}
