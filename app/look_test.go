package app_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
	"go.uber.org/fx"
)

// TestShowFailure checks that show prints every attempt with its error and its output.
func TestShowFailure(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		r := p.run(t, "run", "../examples/failing.yaml", "-o", "json")
		id := decode[document](t, r.stdout).Execution.ID
		contains(t, p.ok(t, "show", id), "failing Failed", "tasks      2 Completed, 1 Failed, 1 Skipped",
			"import attempt 1 Failed",
			"import attempt 2 Failed", "  stderr | connection refused by the warehouse", "next: sluice retry "+id)
		doc := p.show(t, id)
		var failed int
		for _, a := range doc.Attempts {
			if a.WorkerID == nil || a.StartedAt == nil || a.EndedAt == nil {
				t.Errorf("attempt: %+v", a)
			}
			if a.Status != "Failed" {
				continue
			}
			failed++
			if a.Error == nil || !strings.Contains(*a.Error, "exit code 7") || a.ErrorKind == nil ||
				*a.ErrorKind != "exit" ||
				a.Stdout != "importing 3 rows\n" || !strings.Contains(a.Stderr, "refused") {
				t.Errorf("attempt: %+v", a)
			}
		}
		if failed != 2 || len(doc.Attempts) != 4 {
			t.Errorf("%d attempts, %d failed", len(doc.Attempts), failed)
		}
	})
}

// TestShowLogs checks that show prints the end of a failed attempt's output, and all of it with --logs.
func TestShowLogs(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		path := file(t, "chatty.yaml", `
name: chatty
tasks:
  - {id: fine, run: echo all is well}
  - {id: bad, run: 'i=1; while [ $i -le 50 ]; do echo "line $i"; i=$((i+1)); done; exit 1'}
`)
		r := p.run(t, "run", path, "-o", "json")
		id := decode[document](t, r.stdout).Execution.ID
		short, whole := p.ok(t, "show", id), p.ok(t, "show", id, "--logs")
		contains(t, short, "… 30 lines above: --logs", "stdout | line 31\n", "stdout | line 50\n")
		contains(t, whole, "stdout | line 1\n", "stdout | line 50\n", "stdout | all is well")
		if strings.Contains(short, "line 30\n") || strings.Contains(short, "all is well") {
			t.Errorf("too much:\n%s", short)
		}
	})
}

// TestWhyItWaits checks that show and outbox say why each task is not running.
func TestWhyItWaits(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		g := newGate()
		p.extensions = []fx.Option{g.option(), laterOption()}
		id := p.start(t, file(t, "gated.yaml", gated))
		contains(t, p.ok(t, "show", id), `no live worker serves handler "gate": start `+
			"`sluice serve`", "waits for first")
		contains(t, p.ok(t, "outbox"), "gated", "first", `no live worker serves handler "gate"`, id)

		waiting := p.start(t, file(t, "later.yaml", "name: late\ntasks: [{id: wait, uses: later}]"))
		retried := p.start(t, file(t, "flaky.yaml", `
name: flaky
tasks: [{id: again, run: exit 1, retry: {max_attempts: 2, delay: 1h, jitter: 0}}]`))
		serve := p.begin(t, "serve", "--workers", "1")
		<-g.begun
		g.open <- nil
		<-g.begun // the only slot is used now
		third := p.start(t, file(t, "gated.yaml", gated))
		contains(t, p.ok(t, "show", third), "due: waiting for a free worker slot")
		g.open <- nil
		<-g.begun
		g.open <- nil
		<-g.begun
		g.open <- nil
		dbtest.Eventually(t, "the deferral and the retry", func() bool {
			return strings.Contains(p.ok(t, "show", waiting), ": the exchange is closed (due in 59m") &&
				strings.Contains(p.ok(t, "show", retried), "retry due in 59m")
		})
		contains(t, p.ok(t, "show", waiting), "deferred until 20", "Ready/Deferred")
		contains(t, p.ok(t, "outbox"), "due in 59m")
		contains(t, p.ok(t, "workers"), "gate,http,later,shell,sleep,wait", "ends in ")
		if r := serve.stop(t); r.code != 0 {
			t.Errorf("serve: %+v", r)
		}
		contains(t, p.run(t, "workers").stderr, "no workers: `sluice serve` starts one")
		if rows := decode[listing[map[string]any]](t, p.ok(t, "outbox", "-o", "json")).Items; len(rows) != 2 ||
			rows[0]["id"] == nil || rows[0]["waiting"] == nil {
			t.Errorf("outbox: %v", rows)
		}
		contains(t, p.run(t, "outbox", "--limit", "1").stderr, "more: sluice outbox --limit 1 --cursor ")
		p.ok(t, "cancel", waiting)
		p.ok(t, "cancel", retried)
	})
}

func TestEvents(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		r := p.run(t, "run", "../examples/failing.yaml", "-o", "json")
		doc := decode[document](t, r.stdout)
		id := doc.Execution.ID
		var one string
		for _, x := range doc.Tasks {
			if x.TaskName == "import" {
				one = x.ID
			}
		}
		types := func(args ...string) (out []string) {
			for _, e := range p.events(t, args...) {
				out = append(out, e.EventType)
			}
			return out
		}
		story := []string{
			"task_created", "task_marked_ready", "task_claimed", "task_started", "task_retry_scheduled", "task_claimed",
			"task_started", "task_failed",
		}
		if diff := cmp.Diff(story, types("--task-execution", one)); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]string{"task_failed"}, types("--type", "task_failed", "--since", "1h")); diff != "" {
			t.Error(diff)
		}
		whole := types("--pipeline-execution", id)
		if diff := cmp.Diff(whole[len(whole)-2:], types("--limit", "2")); diff != "" {
			t.Error(diff)
		}
		if got := types("--since", "2999-01-01T00:00:00Z"); len(got) != 0 {
			t.Errorf("from the future: %q", got)
		}
		contains(t, p.ok(t, "events", "--pipeline-execution", id), "TIME", "import", "task_retry_scheduled",
			"failed, again in ", "exit code 7: connection refused by the warehouse", "cli:")
		contains(t, p.ok(t, "events"), "EXECUTION", "PIPELINE", "failing", id)
		contains(t, p.run(t, "events", "--limit", "1").stderr, "older ones: sluice events --limit 1 --cursor ")
		p.fails(t, 2, []string{`did you mean "task_failed"?`}, "events", "--type", "task_faild")
		p.fails(t, 2, []string{`--since: invalid time "yesterday"`, "30m"}, "events", "--since", "yesterday")
		p.fails(t, 3, []string{"no such pipeline execution"}, "events", "--pipeline-execution", nobody)
		p.fails(t, 3, []string{"no such task execution"}, "events", "--task-execution", nobody)
	})
}

// TestCleanupEvents checks that a dry run counts, that the real run removes, and that commands that need the history
// say that it was removed.
func TestCleanupEvents(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		r := p.run(t, "run", "../examples/failing.yaml", "-o", "json")
		id := decode[document](t, r.stdout).Execution.ID
		open := p.start(t, "../examples/first.yaml")
		n := len(p.events(t, "--pipeline-execution", id))
		type cleanup struct {
			Events, Executions int
			DryRun             bool `json:"dry_run"`
		}
		want := cleanup{Events: n, Executions: 1, DryRun: true}
		if diff := cmp.Diff(want,
			decode[cleanup](t, p.ok(t, "cleanup-events", "--older-than", "0", "--dry-run", "-o", "json"))); diff != "" {
			t.Error(diff)
		}
		contains(t, p.ok(t, "cleanup-events", "--older-than", "1d"), "removed 0 events of 0 executions")
		want.DryRun = false
		if diff := cmp.Diff(want,
			decode[cleanup](t, p.ok(t, "cleanup-events", "--older-than", "0", "-o", "json"))); diff != "" {
			t.Error(diff)
		}
		shown := p.ok(t, "show", id)
		contains(t, shown, "events removed by retention", "next: sluice start failing")
		if strings.Contains(shown, "sluice retry") {
			t.Errorf("advises what is refused:\n%s", shown)
		}
		task := p.show(t, id).Tasks[0].ID
		for _, of := range [][]string{{"--pipeline-execution", id}, {"--task-execution", task}} {
			contains(t, p.run(t, append([]string{"events"}, of...)...).stderr, "no events: retention",
				fmt.Sprintf("%d events", n))
		}
		contains(t, p.ok(t, "verify", id), "no breach")
		p.fails(t, 5, []string{"the history of " + id + " has been removed"}, "retry", id)
		if got := p.events(t, "--pipeline-execution", open); len(got) == 0 {
			t.Error("the events of an open execution were removed")
		}
		p.fails(t, 2, []string{"needs --older-than"}, "cleanup-events")
		p.fails(t, 2, []string{"expected a duration such as"}, "cleanup-events", "--older-than", "soon")
		p.ok(t, "cancel", open)
	})
}
