package app_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluiceworks/sluice/platform/db/dbtest"
)

// ending returns each task of a run with its status, or with the reason of its skip.
func (d document) ending() string {
	var list []string
	for _, t := range d.Tasks {
		status := t.Status
		if t.SkipReason != nil {
			status = *t.SkipReason
		}
		list = append(list, t.TaskName+" "+status)
	}
	return strings.Join(list, ", ")
}

// TestFailureAbove checks that an alert runs after a failure two steps upstream, that a report does not, and that
// neither alert nor clean-up undoes the failure.
func TestFailureAbove(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		r := p.run(t, "run", file(t, "upstream.yaml", `name: upstream
tasks:
  - {id: extract, run: exit 1}
  - {id: load, needs: [extract], run: echo load}
  - {id: alert, needs: [load], trigger_rule: one_failed, run: echo look}
  - {id: report, needs: [load], trigger_rule: none_failed, run: echo publishing}
  - {id: branch, if: "false", run: echo never}
  - {id: join, needs: [branch], trigger_rule: none_failed, run: echo joined}
  - {id: after, needs: [branch], run: echo never}
`), "-o", "json")
		doc := decode[document](t, r.stdout)
		want := "extract Failed, load upstream_failed, alert Completed, report upstream_failed, branch condition, " +
			"join Completed, after trigger_rule"
		if got := doc.ending(); r.code != 1 || got != want {
			t.Errorf("exit code %d\n%s\nwant\n%s", r.code, got, want)
		}
		if doc.Execution.Status != "Failed" || doc.Execution.Error == nil ||
			!strings.Contains(*doc.Execution.Error, "task extract failed") {
			t.Errorf("the run: %+v", doc.Execution)
		}
		contains(t, p.ok(t, "list", "--status", "failed"), "upstream")
	})
}

// TestContinueOnError checks that a run completes after a failure with continue_on_error, with its fallback.
func TestContinueOnError(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		r := p.run(t, "run", file(t, "fallback.yaml", `name: fallback
tasks:
  - {id: fast, continue_on_error: true, run: exit 1}
  - {id: slow, needs: [fast], trigger_rule: one_failed, run: echo slow}
  - {id: use, needs: [fast, slow], trigger_rule: one_success, run: echo use}
`), "-o", "json")
		if got := decode[document](t, r.stdout).ending(); r.code != 0 ||
			got != "fast Failed, slow Completed, use Completed" {
			t.Errorf("exit code %d: %s", r.code, got)
		}
		p.fails(t, 2, []string{"did you mean \"continue_on_error\"?"}, "validate",
			file(t, "typo.yaml", "name: x\ntasks:\n  - {id: a, continue_on_eror: true, run: echo}\n"))
	})
}

// TestEarlyRules checks that one_failed does not wait for a running dependency, and does not run twice if that one
// fails too.
func TestEarlyRules(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		dir := t.TempDir()
		r := p.run(t, "run", file(t, "early.yaml", `name: early
tasks:
  - {id: quick, run: exit 1}
  - id: long
    timeout: 2m
    run: |
      until test -e "`+dir+`/alerted"; do sleep 0.05; done
      exit 1
  - {id: alert, needs: [quick, long], trigger_rule: one_failed, run: "echo once >> '`+dir+`/alerted'"}
`), "-o", "json")
		if got := decode[document](t, r.stdout).ending(); r.code != 1 ||
			got != "quick Failed, long Failed, alert Completed" {
			t.Errorf("exit code %d: %s", r.code, got)
		}
		if alerts, err := os.ReadFile(filepath.Join(dir, "alerted")); err != nil || string(alerts) != "once\n" {
			t.Errorf("alerts: %q, %v", alerts, err)
		}
	})
}

// TestRetryAfterCleanup checks that a retry runs the clean-up again, and that the run completes if it is retried from
// the task whose results the clean-up removed.
func TestRetryAfterCleanup(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		dir := t.TempDir()
		r := p.run(t, "run", file(t, "cleanup.yaml", `name: cleanup
tasks:
  - {id: prepare, run: "mkdir '`+dir+`/work'"}
  - {id: work, needs: [prepare], run: "touch '`+dir+`/work/x' && test -e '`+dir+`/repaired'"}
  - {id: tidy, needs: [work], trigger_rule: all_done, run: "rm -r '`+dir+`/work'"}
  - {id: apart, run: echo once}
`), "-o", "json")
		id := decode[document](t, r.stdout).Execution.ID
		if err := os.WriteFile(filepath.Join(dir, "repaired"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		contains(t, p.ok(t, "retry", id, "--dry-run"), "runs again: work (Failed), tidy (Completed)")
		before := len(p.events(t, "--pipeline-execution", id))
		contains(t, p.ok(t, "retry", id, "--from", "prepare", "--dry-run"),
			"runs again: prepare (Completed), work (Failed), tidy (Completed)")
		if after := len(p.events(t, "--pipeline-execution", id)); after != before {
			t.Errorf("--dry-run left %d events", after-before)
		}
		again := p.run(t, "retry", id, "--from", "prepare")
		contains(t, again.stderr, "runs again: prepare (Completed), work (Failed), tidy (Completed)")
		p.untilEnd(t, id)
		if got := p.show(t, id).ending(); got != "prepare Completed, work Completed, tidy Completed, apart Completed" {
			t.Error(got)
		}
		p.fails(t, 5, []string{"has completed", "name the task to run again from"}, "retry", id)
		contains(t, p.ok(t, "retry", id, "--from", "tidy", "--dry-run"), "runs again: tidy (Completed)")
		p.ok(t, "retry", id, "--from", "apart")
		p.untilEnd(t, id)
		if doc := p.show(t, id); doc.Execution.Status != "Completed" || doc.Tasks[3].Attempt != 2 ||
			doc.Tasks[0].Attempt != 2 {
			t.Errorf("after a retry of a completed run: %+v", doc)
		}
	})
}

// untilEnd runs a server until a run has ended.
func (p *program) untilEnd(t *testing.T, id string) {
	t.Helper()
	serve := p.begin(t, "serve")
	dbtest.Eventually(t, "the run ends", func() bool { return p.show(t, id).Execution.OpenTasks == 0 })
	serve.stop(t)
}

// TestCancelNamesCleanup checks that cancel names the clean-up that does not run.
func TestCancelNamesCleanup(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		id := p.start(t, file(t, "giveback.yaml", `name: giveback
tasks:
  - {id: work, run: sleep 100}
  - {id: giveback, needs: [work], trigger_rule: always, run: echo}
  - {id: tidy, needs: [work], trigger_rule: all_done, run: echo}
  - {id: note, needs: [work], trigger_rule: one_failed, run: echo}
`))
		contains(t, p.ok(t, "cancel", id),
			"cancelled too, and did not clean up: 2 tasks with trigger_rule all_done or always (giveback, tidy)")
	})
}
