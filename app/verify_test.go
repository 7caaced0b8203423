package app_test

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// TestVerifyFindsTampering checks that each change made outside the engine is found with its invariant, in the
// execution and in the whole tenant.
func TestVerifyFindsTampering(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		statement string
		invariant string
	}{
		"an event is deleted": {
			`DELETE FROM {execution_events} WHERE task_execution_id = $task AND event_type = 'task_claimed'`, "I1",
		},
		"the last event is deleted": {
			`DELETE FROM {execution_events} WHERE task_execution_id = $task AND event_type = 'task_completed'`, "I1",
		},
		"an event's type changes": {
			`UPDATE {execution_events} SET event_type = 'task_started' WHERE task_execution_id = $task
  AND event_type = 'task_completed'`, "I2",
		},
		"a task's status changes": {`UPDATE {task_executions} SET status = 'Failed' WHERE id = $task`, "I2"},
		"an attempt is hidden":    {`UPDATE {task_executions} SET attempt = 0 WHERE id = $task`, "I2"},
		"a stray outbox row": {
			`INSERT INTO {task_outbox} (task_execution_id, handler, available_at, created_at)
  SELECT id, handler, created_at, created_at FROM {task_executions} WHERE id = $task`, "I4",
		},
		"a run is reopened": {`UPDATE {pipeline_executions} SET status = 'Running' WHERE id = $pipeline`, "I6"},
		"a counter changes": {`UPDATE {pipeline_executions} SET open_tasks = 3 WHERE id = $pipeline`, "I7"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for backend, url := range map[string]func(testing.TB) string{
				"sqlite":   dbtest.SQLiteURL,
				"postgres": dbtest.PostgresURL,
			} {
				t.Run(backend, func(t *testing.T) {
					t.Parallel()
					p := &program{url: url(t)}
					p.run(t, "run", "../examples/failing.yaml")
					doc := p.newest(t)
					contains(t, p.ok(t, "verify"), "checked 1 pipeline execution, 4 tasks, ", ": no breach")
					mustExec(t, dbtest.Open(t, p.url), c.statement,
						db.Args{"task": id(t, doc.Tasks[0].ID), "pipeline": id(t, doc.Execution.ID)})
					p.finds(t, doc, c.invariant)
					p.finds(t, doc, c.invariant, doc.Execution.ID)
				})
			}
		})
	}
}

// newest returns the newest execution.
func (p *program) newest(t *testing.T) document {
	t.Helper()
	return p.show(t, decode[listing[execution]](t, p.ok(t, "list", "--limit", "1", "-o", "json")).Items[0].ID)
}

func id(t *testing.T, s string) dbtype.ID {
	t.Helper()
	v, err := dbtype.ParseID(s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// finds checks that verify finds a breach of an invariant in an execution, in text and in JSON.
func (p *program) finds(t *testing.T, doc document, invariant string, args ...string) {
	t.Helper()
	r := p.run(t, append([]string{"verify"}, args...)...)
	if r.code != 1 {
		t.Errorf("exit code %d", r.code)
	}
	contains(t, r.stdout, "\nchecked 1 pipeline execution", "  found:    ", "  expected: ", doc.Execution.ID)
	if !strings.HasPrefix(r.stdout, invariant+" ") && !strings.Contains(r.stdout, "\n"+invariant+" ") {
		t.Errorf("no breach of %s:\n%s", invariant, r.stdout)
	}
	r = p.run(t, append([]string{"verify", "-o", "json"}, args...)...)
	report := decode[struct {
		Executions int
		Breaches   []struct {
			Invariant           string
			PipelineExecutionID string `json:"pipeline_execution_id"`
		}
	}](t, r.stdout)
	if r.code != 1 || report.Executions != 1 || len(report.Breaches) == 0 ||
		report.Breaches[0].PipelineExecutionID != doc.Execution.ID {
		t.Errorf("exit code %d, report: %+v", r.code, report)
	}
}

// TestRemoveStray checks that the only repair removes rows without a task to run, and nothing else.
func TestRemoveStray(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		p.ok(t, "run", "../examples/first.yaml", "--set", "dir="+t.TempDir())
		doc := p.newest(t)
		waiting := p.start(t, "../examples/first.yaml")
		mustExec(t, dbtest.Open(t, p.url),
			`INSERT INTO {task_outbox} (task_execution_id, handler, available_at, created_at)
SELECT id, handler, created_at, created_at FROM {task_executions} WHERE id = $task`, db.Args{"task": id(t,
				doc.Tasks[0].ID)})
		contains(t, p.ok(t, "outbox"), "stray: it stands for no work", "no live worker serves")
		contains(t, p.ok(t, "outbox", "--remove-orphans"), "removed 1 stray row")
		if got := p.ok(t, "outbox", "--remove-orphans", "-o", "json"); !strings.Contains(got, `"removed": 0`) {
			t.Errorf("again: %s", got)
		}
		p.ok(t, "cancel", waiting)
	})
}

// TestVerifyGoesOn checks that an interrupted verification continues from its file, which is then removed, and that
// another file is refused and left unchanged.
func TestVerifyGoesOn(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		p.ok(t, "run", "../examples/first.yaml", "--set", "dir="+t.TempDir())
		first := p.newest(t).Execution.ID
		p.ok(t, "run", "../examples/first.yaml", "--set", "dir="+t.TempDir())
		u, err := url.Parse(p.url)
		if err != nil {
			t.Fatal(err)
		}
		state := func(tenant string) string {
			return fmt.Sprintf(`{"sluice_verify": 2, "database": %q, "tenant": %q, "since": null, `+
				`"state": {"after": %q, "report": {"executions": 41, "breaches": []}}}`,
				u.Redacted(), tenant, first)
		}
		path := file(t, "place.json", state("default"))
		contains(t, p.ok(t, "verify", "--resume", path), "checked 42 pipeline executions", "no breach")
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the file is still there: %v", err)
		}
		contains(t, p.ok(t, "verify", "--resume", path), "checked 2 pipeline executions", "no breach")
		p.fails(t, 2, []string{"of another verification", "remove the file"}, "verify", "--resume",
			file(t, "other.json", state("other")))
		p.fails(t, 2, []string{"no file of an interrupted verification"}, "verify", "--resume",
			file(t, "broken.json", "{"))
		p.fails(t, 2, []string{"don't go together"}, "verify", first, "--since", "1h")
		contains(t, p.ok(t, "verify", "--since", "1h"), "checked 2 pipeline executions")
		contains(t, p.ok(t, "verify", "--since", "2999-01-01T00:00:00Z"), "checked 0 pipeline executions")
	})
}
