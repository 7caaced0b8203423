package app_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/sluiceworks/sluice/platform/db/dbtest"
)

// where is a pipeline whose tasks write in which directory and environment they ran.
const where = `name: where
defaults: {retry: {max_attempts: 2, delay: 1ms}}
tasks:
  - {id: first, run: 'test "$SLUICE_ATTEMPT" -gt 1; %[1]s'}
  - {id: second, needs: [first], queue: gpu, run: '%[1]s'}
  - {id: third, needs: [second], run: '%[1]s'}
`

// servers starts three servers in a directory of their own, and checks that they work.
func (p *program) servers(t *testing.T, path string) {
	t.Helper()
	dir := t.TempDir()
	for range 3 {
		p.processIn(t, dir, []string{"MARKER=server"}, "serve", "--lease", "5s", "--queues", "default,gpu",
			"--pass-env", "MARKER")
	}
	id := p.start(t, path)
	dbtest.Eventually(t, "the servers work", func() bool { return p.show(t, id).Execution.Status == "Completed" })
	for _, task := range p.show(t, id).Tasks {
		contains(t, string(task.Output), dir, "server")
	}
}

// TestRunWorksOffItsOwnRun checks that, although servers run in another directory and environment, each run stays in
// its own process. -count=5 makes a hundred runs on each database.
func TestRunWorksOffItsOwnRun(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		path := file(t, "where.yaml",
			fmt.Sprintf(where, `echo "{\"at\": \"$(pwd) ${MARKER:-none}\"}" > "$SLUICE_OUTPUT"`))
		p.servers(t, path)
		here, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		var runs sync.WaitGroup
		for range 4 {
			runs.Go(func() {
				for range 5 {
					r := p.run(t, "run", path, "-o", "json")
					if r.code != 0 {
						t.Errorf("exit code %d\n%s", r.code, r.stderr)
						return
					}
					for _, task := range decode[document](t, r.stdout).Tasks {
						if want := fmt.Sprintf(`{"at": %q}`, here+" none"); string(task.Output) != want &&
							!strings.Contains(string(task.Output), here+" none") {
							t.Errorf("task %s ran at %s, want %s", task.TaskName, task.Output, want)
						}
					}
				}
			})
		}
		runs.Wait()
	})
}

// held is a run in which one task holds the only slot and another waits for it.
const held = `name: held
tasks:
  - {id: hold, timeout: 5m, run: "echo started >> '%[1]s/started'; until test -e '%[1]s/open'; do sleep 0.05; done"}
  - {id: beside, run: "true"}
  - {id: after, needs: [hold, beside], queue: gpu, run: "true"}
`

// TestRunIsTakenOver checks that a waiting task names its process, and that the servers continue its run after the
// process was interrupted or killed.
func TestRunIsTakenOver(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		p.servers(t, file(t, "plain.yaml",
			`{name: plain, tasks: [{id: a, run: 'echo "{\"at\": \"$(pwd) $MARKER\"}" > "$SLUICE_OUTPUT"'}]}`))
		for _, end := range []string{"interrupted", "killed"} {
			dir := t.TempDir()
			path := file(t, "held.yaml", fmt.Sprintf(held, dir))
			cmd, stderr := p.process(t, "run", path, "--workers", "1", "--lease", "5s")
			started := func() bool { _, err := os.Stat(filepath.Join(dir, "started")); return err == nil }
			dbtest.Eventually(t, "it holds its slot", started)
			id := strings.Fields(strings.SplitN(stderr.String(), "\n", 2)[0])[1]
			waits := fmt.Sprintf("reserved for the sluice run process %d on ", cmd.Process.Pid)
			contains(t, p.ok(t, "show", id), waits)
			contains(t, p.ok(t, "outbox"), waits)
			contains(t, p.ok(t, "doctor"), "of those due no live worker serves 0")
			if end == "killed" {
				kill(t, cmd)
			} else if err := cmd.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			} else if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != 130 {
				t.Errorf("an interrupted run ended with %v", err)
			}
			if err := os.WriteFile(filepath.Join(dir, "open"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			dbtest.Eventually(t, "the servers end the "+end+
				" run", func() bool { return p.show(t, id).Execution.Status == "Completed" })
			if rows := decode[listing[any]](t, p.ok(t, "outbox", "-o", "json")).Items; len(rows) > 0 {
				t.Errorf("left in the outbox: %v", rows)
			}
		}
	})
}
