package dbtest_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
)

// write adds a worker, which tests refuse with faults.
func write(t *testing.T, d *db.DB, id string) error {
	t.Helper()
	return d.Transaction(t.Context(), func(tx db.Tx) error {
		_, err := tx.Exec(`INSERT INTO {workers} (id, hostname, pid, slots, handlers, started_at, lease_expires_at)
VALUES ($id, 'h', 1, 1, '', $now, $now)`, db.Args{"id": id, "now": tx.Now})
		return err
	})
}

// TestInject checks that a fault refuses only the write that it names, that nothing of the transaction remains, and
// that the fault can be removed.
func TestInject(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		for _, atCommit := range []bool{false, true} {
			before := dbtest.Dump(t, d)
			mend := dbtest.Inject(t,
				d, dbtest.Fault{Table: "workers", On: "INSERT", When: "NEW.id = 'bad'", AtCommit: atCommit})
			err := write(t, d, "bad")
			if !dbtest.Injected(err) {
				t.Fatalf("at commit %t: got %v, expected the injected fault", atCommit, err)
			}
			if err := write(t, d, "good"); err != nil {
				t.Fatalf("at commit %t: the fault refuses what it does not name: %v", atCommit, err)
			}
			mend()
			after := dbtest.Dump(t, d)
			if n := len(after["workers"]) - len(before["workers"]); n != 1 {
				t.Errorf("at commit %t: %d new rows, expected the good one alone", atCommit, n)
			}
			dbtest.Exec(t, d, `DELETE FROM {workers}`)
			if err := write(t, d, "bad"); err != nil {
				t.Errorf("at commit %t: mended, the database refuses still: %v", atCommit, err)
			}
			dbtest.Exec(t, d, `DELETE FROM {workers}`)
		}
	})
}

func TestInjectedIsNoOtherError(t *testing.T) {
	t.Parallel()
	for _, err := range []error{nil, errors.New("disk full")} {
		if dbtest.Injected(err) {
			t.Errorf("%v counts as injected", err)
		}
	}
}

// TestDump checks that Dump shows every table and a change of any value.
func TestDump(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		before := dbtest.Dump(t, d)
		for _, table := range []string{
			"execution_events", "pipeline_executions", "task_executions", "task_outbox",
			"log_chunks", "workers", "pipeline_definitions",
		} {
			if _, ok := before[table]; !ok {
				t.Errorf("the dump lacks %s", table)
			}
		}
		if err := write(t, d, "somebody"); err != nil {
			t.Fatal(err)
		}
		added := dbtest.Dump(t, d)
		if !slices.ContainsFunc(added["workers"], func(row string) bool { return strings.Contains(row, "somebody") }) {
			t.Errorf("the dump lacks the row: %v", added["workers"])
		}
		dbtest.Exec(t, d, `UPDATE {workers} SET slots = 2`)
		if cmp.Equal(added, dbtest.Dump(t, d)) {
			t.Error("a changed value does not show in the dump")
		}
		dbtest.Exec(t, d, `DELETE FROM {workers}`)
		if diff := cmp.Diff(before, dbtest.Dump(t, d)); diff != "" {
			t.Errorf("the dump is another after all is as it was (-want +got):\n%s", diff)
		}
	})
}
