package app_test

import (
	"testing"

	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// TestDoctorOfALockedDatabase checks that doctor answers while a table is locked, and reports the lock.
func TestDoctorOfALockedDatabase(t *testing.T) {
	t.Parallel()
	p := &program{url: dbtest.PostgresURL(t)}
	d := dbtest.Open(t, p.url)
	held, release, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- d.Transaction(t.Context(), func(tx db.Tx) error {
			_, err := tx.Exec(`LOCK TABLE {workers} IN ACCESS EXCLUSIVE MODE`, nil)
			close(held)
			<-release
			return err
		})
	}()
	<-held
	r := p.run(t, "doctor")
	close(release)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if r.code != 1 {
		t.Errorf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	contains(t, r.stdout, "locks", "got no answer", "pg_blocking_pids")
	contains(t, p.ok(t, "doctor"), "the server takes writes")
}

// TestTenantsThatCannotBeRead checks that a tenant that this user may not read does not hide the others.
func TestTenantsThatCannotBeRead(t *testing.T) {
	t.Parallel()
	database := dbtest.PostgresURL(t)
	d := dbtest.Open(t, database)
	role := "other_" + dbtype.NewID().String()[24:]
	mustExec(t, d, `CREATE ROLE `+role+` LOGIN`, nil)
	defer func() {
		mustExec(t, d, `DROP OWNED BY `+role+` CASCADE`, nil)
		mustExec(t, d, `DROP ROLE `+role, nil)
	}()
	mustExec(t, d, `CREATE SCHEMA own AUTHORIZATION `+role, nil)
	p := &program{url: withUser(t, database, role)}
	p.of("own").ok(t, "migrate")
	list := p.run(t, "tenants", "list")
	contains(t, list.stdout, "own", "current", "default", "unreadable")
	contains(t, list.stderr, "tenant default can't be read", "permission denied")
	if list.code != 0 {
		t.Errorf("exit code %d", list.code)
	}
}
