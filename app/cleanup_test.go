package app_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

const kept = `
name: kept
retention: {logs: 1ms}
tasks:
  - {id: one, run: 'echo words; echo "{\"n\": 1}" > "$SLUICE_OUTPUT"'}
  - {id: two, needs: [one], run: 'echo more'}
`

type cleaned struct {
	DryRun  bool `json:"dry_run"`
	Removed []struct {
		PipelineName string `json:"pipeline"`
		Kind         string `json:"kind"`
		Executions   int    `json:"executions"`
		Rows         int    `json:"rows"`
	} `json:"removed"`
}

func (c cleaned) text() string {
	var parts []string
	for _, r := range c.Removed {
		parts = append(parts, r.PipelineName+" "+r.Kind+" "+
			strings.Repeat("x", r.Executions)+strings.Repeat("r", r.Rows))
	}
	return strings.Join(parts, "; ")
}

func (p *program) clean(t *testing.T, args ...string) string {
	t.Helper()
	return decode[cleaned](t, p.ok(t, append([]string{"cleanup", "-o", "json"}, args...)...)).text()
}

// TestCleanup checks that each kind is removed only by its own setting, that a dry run reports the same as the run
// after it and changes nothing, and that the remaining executions say what they lack.
func TestCleanup(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		path := file(t, "kept.yaml", kept)
		p.ok(t, "run", path)
		id := p.newest(t).Execution.ID
		open := p.start(t, path)
		if got := p.clean(t); got != "" {
			t.Errorf("without settings: %s", got)
		}
		if got := p.clean(t, "--retain-events", "1h", "--retain-outputs", "1h", "--retain-logs", "1h",
			"--retain-executions", "1h"); got != "" {
			t.Errorf("too young: %s", got)
		}
		for _, c := range []struct{ kind, rows string }{
			{"outputs", "xr"},
			{"logs", "xrr"},
			{"events", "xrrrrrrrrrrrr"},
		} {
			want := "kept " + c.kind + " " + c.rows
			for _, args := range [][]string{{"--dry-run"}, {"--dry-run", "--pipeline", "kept"}, {}} {
				if got := p.clean(t, append(args, "--retain-"+c.kind, "1ms")...); got != want {
					t.Errorf("%v: %q, want %q", args, got, want)
				}
			}
			if got := p.clean(t, "--retain-"+c.kind, "1ms"); got != "" {
				t.Errorf("again: %q", got)
			}
		}
		contains(t, p.ok(t, "show", id), "12 events removed by retention", "removed the outputs of the tasks",
			"removed what the attempts wrote")
		contains(t, p.ok(t, "verify"), "1 execution with a retained summary alone", "1 execution without outputs",
			": no breach")
		if got := p.clean(t, "--retain-executions", "1ms", "--pipeline", "other"); got != "" {
			t.Errorf("another pipeline: %q", got)
		}
		contains(t, p.ok(t, "cleanup", "--retain-executions", "1ms", "--dry-run"), "WOULD REMOVE", "executions")
		contains(t, p.ok(t, "cleanup", "--retain-executions", "1ms"), "REMOVED", "executions")
		p.fails(t, 3, []string{id}, "show", id)
		p.empty(t, id)
		contains(t, p.ok(t, "cleanup", "--retain-executions", "1ms"), "nothing is old enough")
		p.ok(t, "cancel", open)
	})
}

// empty checks that no table has a trace of an execution.
func (p *program) empty(t *testing.T, execution string) {
	t.Helper()
	open := dbtest.Open(t, p.url)
	for _, q := range []string{
		`SELECT count(*) FROM {pipeline_executions} WHERE id = $id`,
		`SELECT count(*) FROM {task_executions} WHERE pipeline_execution_id = $id`,
		`SELECT count(*) FROM {execution_events} WHERE pipeline_execution_id = $id`,
		`SELECT count(*) FROM {log_chunks}`,
	} {
		n := -1
		if err := open.Query(t.Context(), q, db.Args{"id": id(t, execution)},
			func(scan db.Scan) error { return scan(&n) }); err != nil || n != 0 {
			t.Errorf("%s: %d, %v", q, n, err)
		}
	}
}

// TestCleanupKeepsWhatIsNeeded checks that a run without its outputs cannot be retried and says why, and that the
// idempotency key of a removed run can be used again.
func TestCleanupKeepsWhatIsNeeded(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		p.run(t, "run", "../examples/failing.yaml")
		failed := p.newest(t).Execution.ID
		p.ok(t, "cleanup", "--retain-outputs", "1ms")
		p.fails(t, 5, []string{"retention has removed the outputs", "start a new run"}, "retry", failed)

		path := file(t, "kept.yaml", kept)
		first := p.start(t, path, "--idempotency-key", "monday")
		if again := p.start(t, path, "--idempotency-key", "monday"); !strings.HasPrefix(again, first) {
			t.Errorf("%q for the key of %s", again, first)
		}
		p.ok(t, "cancel", first)
		p.ok(t, "cleanup", "--retain-executions", "1ms", "--pipeline", "kept")
		fresh := p.start(t, path, "--idempotency-key", "monday")
		if fresh == first {
			t.Errorf("the key still names %s", first)
		}
		p.ok(t, "cancel", fresh)
	})
}

// TestServeRetains checks that a server removes what its settings and the pipelines' own settings say, and that
// another process reports that retention is already running.
func TestServeRetains(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "kept.yaml"), []byte(kept), 0o600); err != nil {
			t.Fatal(err)
		}
		s := p.begin(t, "serve", "--pipelines", dir, "--retain-events", "1ms", "--cleanup-interval", "100ms")
		dbtest.Eventually(t, "registration", func() bool { return p.run(t, "start", "kept").code == 0 })
		run := p.newest(t).Execution.ID
		dbtest.Eventually(t, "retention", func() bool {
			text := p.run(t, "show", run).stdout
			return strings.Contains(text, "events removed by retention") &&
				strings.Contains(text, "removed what the attempts wrote")
		})
		if out := string(p.show(t, run).Tasks[0].Output); !strings.Contains(out, "1") {
			t.Errorf("an output went, which nothing says: %s", out)
		}
		s.stop(t)
		contains(t, s.stderr.String(), "retention", "kind")
		mustExec(t, dbtest.Open(t, p.url),
			`UPDATE {chores} SET holder = 'somebody', expires_at = $later WHERE name = 'retention'`,
			db.Args{"later": dbtype.NewTime(dbtest.Open(t, p.url).Now().Add(1e12))})
		p.fails(t, 2, []string{"under way in another process"}, "cleanup", "--retain-outputs", "1ms")
		mustExec(t, dbtest.Open(t, p.url), `UPDATE {chores} SET expires_at = $past WHERE name = 'retention'`,
			db.Args{"past": dbtype.NewTime(dbtest.Open(t, p.url).Now().Add(-1e9))})
		if got := p.clean(t, "--retain-outputs", "1ms"); got != "kept outputs xr" {
			t.Errorf("after a crash: %q", got)
		}
	})
}
