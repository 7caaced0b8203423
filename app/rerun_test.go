package app_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/sluiceworks/sluice/platform/db/dbtest"
)

// TestRetryRun checks that retry --run runs the failed run in its own process although servers run elsewhere,
// whatever queues its tasks are in.
func TestRetryRun(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		says := `echo "{\"at\": \"$(pwd) ${MARKER:-none}\"}" > "$SLUICE_OUTPUT"`
		p.servers(t, file(t, "plain.yaml",
			`{name: plain, tasks: [{id: a, run: 'echo "{\"at\": \"$(pwd) $MARKER\"}" > "$SLUICE_OUTPUT"'}]}`))
		path := file(t, "away.yaml", "name: away\ntasks:\n  - {id: first, run: '"+says+`; test -z "$MARKER"'}`+
			"\n  - {id: second, needs: [first], queue: gpu, run: '"+says+"'}\n")
		here, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		for range 5 {
			id := p.start(t, path)
			dbtest.Eventually(t, "the servers fail with it",
				func() bool { return p.show(t, id).Execution.Status == "Failed" })
			r := p.run(t, "retry", id, "--run", "--reason", "works here", "-o", "json")
			doc := decode[document](t, r.stdout)
			if r.code != 0 || doc.Execution.ID != id || doc.Execution.Status != "Completed" {
				t.Fatalf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
			}
			for _, task := range doc.Tasks {
				contains(t, string(task.Output), here+" none")
			}
			contains(t, r.stderr, "runs again: first (Failed), second (Skipped)", "pipeline away restarted",
				"first started (attempt ")
			if strings.Contains(r.stderr, "failed (attempt 1") {
				t.Errorf("the progress tells what was before the retry:\n%s", r.stderr)
			}
		}
		contains(t, p.ok(t, "retry", "latest:plain", "--run", "--from", "a", "--dry-run"), "runs again: a (Completed)")
		if status := p.show(t, "latest:plain").Execution.Status; status != "Completed" {
			t.Errorf("after a dry run it is %s", status)
		}
	})
}

// TestRetryRunRefuses checks that a run that cannot be retried, or several runs, start no worker and change nothing.
func TestRetryRunRefuses(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		id := p.start(t, "../examples/failing.yaml")
		p.fails(t, 5, []string{"cannot retry", "`sluice show " + id + "`"}, "retry", id, "--run")
		p.fails(t, 2, []string{"--run works one execution off"}, "retry", "--status", "failed", "--run")
		p.fails(t, 2, []string{"--run works one execution off"}, "retry", id, id, "--run")
		if list := decode[listing[any]](t, p.ok(t, "workers", "-o", "json")).Items; len(list) != 0 {
			t.Errorf("workers are left: %v", list)
		}
	})
}

// TestRerun checks that a new run has the same definition, input and labels, except for what the flags change.
func TestRerun(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		text := "name: day\nlabels: {team: ops}\ninput: {day: {type: string, required: true}, n: {type: integer, " +
			"default: 1}}\ntasks:\n" +
			`  - {id: a, run: 'echo "{\"said\": \"%s $DAY\"}" > "$SLUICE_OUTPUT"', env: {DAY: "${{ input.day }}"}}` +
			"\n"
		first, second := file(t, "one.yaml", fmt.Sprintf(text, "one")), t.TempDir()
		if err := os.WriteFile(second+"/two.yaml", fmt.Appendf(nil, text, "two"), 0o600); err != nil {
			t.Fatal(err)
		}
		id := decode[document](t, p.ok(t, "run", first, "--set", "day=monday", "--set", "n=7", "--label", "batch=b1",
			"-o", "json")).Execution.ID
		serve := p.begin(t, "serve", "--pipelines", second)
		dbtest.Eventually(t, "the new definition is registered",
			func() bool { return strings.Contains(p.ok(t, "pipelines", "list"), "day") })
		for _, c := range []struct {
			args  []string
			said  string
			input string
		}{
			{nil, "one monday", `{"n": 7, "day": "monday"}`},
			{[]string{"--set", "day=tuesday"}, "one tuesday", `{"n": 7, "day": "tuesday"}`},
			{[]string{"--input", `{"day": "sunday"}`}, "one sunday", `{"n": 1, "day": "sunday"}`},
			{[]string{"--latest-definition"}, "two monday", `{"n": 7, "day": "monday"}`},
		} {
			started := decode[struct{ IDs []string }](t,
				p.ok(t, append([]string{"rerun", id, "-o", "json"}, c.args...)...)).IDs
			if len(started) != 1 || started[0] == id {
				t.Fatalf("%v: started %v", c.args, started)
			}
			p.ok(t, "wait", started[0], "--timeout", "1m")
			here := decode[document](t, p.ok(t, append([]string{"rerun", id, "--run", "-o", "json"}, c.args...)...))
			for _, doc := range []document{p.show(t, started[0]), here} {
				contains(t, string(doc.Tasks[0].Output), c.said)
				if got := compactJSON(t, doc.Execution.Input); got != compactJSON(t, []byte(c.input)) {
					t.Errorf("%v: the input is %s", c.args, got)
				}
			}
		}
		if n := strings.TrimSpace(p.ok(t, "count", "--label", "batch=b1", "--label", "team=ops")); n != "9" {
			t.Errorf("%s have the labels of the first", n)
		}
		serve.stop(t)
		p.fails(t, 2, []string{"n"}, "rerun", id, "--set", "n=many")
		p.fails(t, 3, []string{"no such pipeline execution"}, "rerun", nobody)
		p.fails(t, 3, []string{"failing"}, "rerun", p.start(t, "../examples/failing.yaml"), "--latest-definition")
	})
}
