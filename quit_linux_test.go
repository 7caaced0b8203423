package main

import (
	"strings"
	"syscall"
	"testing"

	"github.com/sluiceworks/sluice/platform/db/dbtest"
)

// TestQuit checks that SIGQUIT prints the stacks, ends running commands, and has its own exit code, and that another
// worker recovers their tasks.
func TestQuit(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p program) {
		path, release := held(t)
		id := strings.TrimSpace(p.ok(t, "start", path))
		groups, pids := leaving(t, "sleep 1000")
		p.ok(t, "start", groups)
		serve := p.begin(t, "serve", "--lease", "1s")
		thereAre(t, pids)
		dbtest.Eventually(t, "the task runs",
			func() bool { _, tasks := p.status(t, id); return tasks["wait"] == "Running" })
		serve.signal(syscall.SIGQUIT)
		if code := serve.wait(t); code != 131 {
			t.Errorf("exit code %d", code)
		}
		for _, words := range []string{"sluice: SIGQUIT", "goroutine 1 [", "modules/handlers/shell"} {
			if !strings.Contains(serve.stderr.String(), words) {
				t.Errorf("not found: %q in\n%s", words, serve.stderr)
			}
		}
		dbtest.Eventually(t, "what is in the commands' groups is dead", func() bool {
			_, alive := left(t, pids)["nohup"]
			return !alive
		})
		release()
		second := p.begin(t, "serve", "--lease", "1s")
		p.completes(t, id)
		if out := p.ok(t, "show", id); !strings.Contains(out, "wait attempt 1 Lost") {
			t.Error(out)
		}
		second.signal(syscall.SIGTERM)
		second.wait(t)
		left(t, pids) // what had left its group outlived the crash, so the end of the test kills it
	})
}
