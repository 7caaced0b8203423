package app_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
)

// TestServeThatCannotRecord checks that a server that is stopped while the database accepts no results reports that
// and has its own exit code, and that another server runs the task again.
func TestServeThatCannotRecord(t *testing.T) {
	t.Parallel()
	p := &program{url: dbtest.PostgresURL(t)}
	dir := t.TempDir()
	id := p.start(t, file(t, "gated.yaml", fmt.Sprintf(`name: gated
tasks: [{id: a, run: "echo >> '%[1]s/started'; until test -e '%[1]s/open'; do sleep 0.05; done"}]
`, dir)))
	serve := p.begin(t, "serve", "--drain", "1s", "--lease", "5s")
	dbtest.Eventually(t, "the task runs",
		func() bool { _, err := os.Stat(filepath.Join(dir, "started")); return err == nil })
	d := dbtest.Open(t, p.url)
	err := d.Transaction(t.Context(), func(tx db.Tx) error {
		if _, err := tx.Exec(`LOCK TABLE {task_executions} IN EXCLUSIVE MODE`, nil); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "open"), nil, 0o600); err != nil {
			return err
		}
		if r := serve.stop(t); r.code != 4 {
			t.Errorf("exit code %d\n%s", r.code, r.stderr)
		} else {
			contains(t, r.stderr, "some results could not be saved")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	p.begin(t, "serve", "--lease", "5s")
	dbtest.Eventually(t, "another server ends the run",
		func() bool { return p.show(t, id).Execution.Status == "Completed" })
}
