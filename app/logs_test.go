package app_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
)

// waiting returns a pipeline whose task prints something, waits for a file, and continues.
func waiting(t *testing.T, rest string) (pipeline, gate string) {
	t.Helper()
	gate = filepath.Join(t.TempDir(), "gate")
	return file(t, "talk.yaml", `
name: talk
tasks:
  - id: talk
    timeout: 50s
    run: |
      echo before; echo warning >&2
      while ! [ -e `+gate+` ]; do sleep 0.1; done
      echo after; `+rest+`
`), gate
}

func open(t *testing.T, gate string) {
	t.Helper()
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestLogsWhileTheyHappen checks that a task's output can be read while it runs, and followed to its end.
func TestLogsWhileTheyHappen(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		path, gate := waiting(t, "printf end")
		id := p.start(t, path)
		p.begin(t, "serve", "--workers", "2")
		dbtest.Eventually(t, "its words are there",
			func() bool { return strings.Contains(p.ok(t, "logs", id), "before\n") })
		if s := p.show(t, id).Execution.Status; s != "Running" {
			t.Fatalf("the run is %s", s)
		}
		contains(t, p.ok(t, "show", id, "--logs"), "stdout | before", "stderr | warning")
		follower := p.begin(t, "logs", id, "talk", "-f")
		open(t, gate)
		r := follower.wait(t)
		want := []string{"after", "before", "end", "warning"}
		got := strings.Fields(r.stdout)
		if diff := cmp.Diff(want, sorted(got)); diff != "" || r.code != 0 || got[len(got)-1] != "end" {
			t.Errorf("exit code %d, %s\n%s", r.code, diff, r.stderr)
		}
	})
}

func sorted(list []string) []string {
	out := append([]string(nil), list...)
	slices.Sort(out)
	return out
}

// TestLogsOfCancelled checks that output is kept when a run is cancelled, including what the task writes while it
// ends.
func TestLogsOfCancelled(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		path := file(t, "cancelled.yaml", `
name: cancelled
tasks:
  - {id: a, run: "trap 'echo cleaned; exit 1' TERM; echo before; while :; do sleep 0.1; done"}
`)
		id := p.start(t, path)
		p.begin(t, "serve", "--workers", "2")
		dbtest.Eventually(t, "it runs and has written",
			func() bool { return strings.Contains(p.ok(t, "logs", id), "before\n") })
		p.ok(t, "cancel", id)
		follower := p.begin(t, "logs", id, "--follow")
		dbtest.Eventually(t, "its last words are there", func() bool {
			out := p.ok(t, "logs", id)
			return strings.Contains(out, "cleaned\n") && strings.Contains(out, "before\n")
		})
		if r := follower.wait(t); r.code != 0 || r.stdout == "" {
			t.Errorf("the follower ended with %d: %q, %s", r.code, r.stdout, r.stderr)
		}
		p.ok(t, "verify", id)
	})
}

// TestLogsOfKilledWorker checks that output is kept after the worker was killed, for the attempt that was lost.
func TestLogsOfKilledWorker(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		path, gate := waiting(t, "true")
		id := p.start(t, path)
		worker, _ := p.process(t, "serve", "--lease", "1s", "--workers", "1")
		dbtest.Eventually(t, "its words are there",
			func() bool { return strings.Contains(p.ok(t, "logs", id), "before\n") })
		kill(t, worker)
		open(t, gate)
		p.begin(t, "serve", "--lease", "1s", "--workers", "1")
		dbtest.Eventually(t, "it completes", func() bool { return p.show(t, id).Execution.Status == "Completed" })
		contains(t, p.ok(t, "logs", id, "--attempt", "1"), "before\n")
		contains(t, p.ok(t, "logs", id, "--failed"), "before\n")
		contains(t, p.ok(t, "logs", id), "before\n", "talk#2 | before\n", "talk#2 | after\n")
		contains(t, p.ok(t, "show", id), "talk attempt 1 Lost", "stdout | before")
		p.ok(t, "verify", id)
	})
}

const twoTasks = `
name: two
tasks:
  - {id: good, run: 'echo fine; printf "no end"'}
  - {id: bad, needs: [good], run: 'echo trouble >&2; exit 1', retry: {max_attempts: 2, delay: 1ms}}
`

// TestLogsCommand checks that lines have their task's name if there are several tasks, and that flags select.
func TestLogsCommand(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		id := decode[document](t, p.run(t, "run", file(t, "two.yaml", twoTasks), "-o", "json").stdout).Execution.ID
		for _, c := range []struct {
			args []string
			want string
		}{
			{nil, "good | fine\ngood | no end\nbad | trouble\nbad#2 | trouble\n"},
			{[]string{"good"}, "fine\nno end\n"},
			{[]string{"bad"}, "trouble\nbad#2 | trouble\n"},
			{[]string{"--attempt", "2"}, "bad#2 | trouble\n"},
			{[]string{"--failed"}, "bad | trouble\nbad#2 | trouble\n"},
			{[]string{"good", "--failed"}, ""},
		} {
			if diff := cmp.Diff(c.want, p.ok(t, append([]string{"logs", id}, c.args...)...)); diff != "" {
				t.Errorf("%v: %s", c.args, diff)
			}
		}
		type document struct {
			Items []struct {
				Task         string `json:"id"`
				Stream, Text string
				Attempt      int
			}
			Next *string
		}
		doc := decode[document](t, p.ok(t, "logs", id, "bad", "-o", "json"))
		if len(doc.Items) != 2 || doc.Items[1].Task != "bad" || doc.Items[1].Stream != "stderr" ||
			doc.Items[1].Text != "trouble\n" || doc.Items[1].Attempt != 2 {
			t.Errorf("%+v", doc)
		}
		if doc := decode[document](t, p.ok(t, "logs", id, "--attempt", "9", "-o", "json")); len(doc.Items) != 0 {
			t.Errorf("%+v", doc)
		}
		p.fails(t, 3, []string{`no task "goud"`, `did you mean "good"?`}, "logs", id, "goud")
		p.fails(t, 3, []string{"no such pipeline execution"}, "logs", "01a21ac7-7091-7efa-b4b3-a42123c0068a")
		p.fails(t, 2, []string{"exclude each other"}, "logs", id, "-f", "--failed")
	})
}

// TestRunShowsOutput checks that output appears in the progress, each line between the start and the end of its task.
func TestRunShowsOutput(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		path := file(t, "two.yaml", twoTasks)
		err := p.run(t, "run", path).stderr
		rest := err
		for _, want := range []string{
			"good started", "good | fine\ngood | no end\n", "good completed", "bad started",
			"bad | trouble\n", "bad#2 | trouble\n", "bad failed",
		} {
			_, after, found := strings.Cut(rest, want)
			if !found {
				t.Fatalf("no %q in its turn in\n%s", want, err)
			}
			rest = after
		}
		if err := p.run(t, "run", path, "--quiet").stderr; strings.Contains(err, "| fine") ||
			!strings.Contains(err, "good completed") {
			t.Errorf("quiet:\n%s", err)
		}
	})
}
