package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/sluiceworks/sluice/platform/db/dbtest"
)

// orphanScripts start a process that writes its id to the file pid and outlives the script. Each script ends
// immediately, or waits if it is asked to.
var orphanScripts = map[string]string{
	"setsid": `setsid sh -c 'echo $$ > "$PID.part"; mv "$PID.part" "$PID"; exec sleep 1000' >/dev/null 2>&1 &`,
	"nohup":  `nohup sh -c 'echo $$ > "$PID.part"; mv "$PID.part" "$PID"; exec sleep 1000' >/dev/null 2>&1 &`,
	"double-fork": `(setsid sh -c '(setsid sh -c "echo \$\$ > \"\$PID.part\"; mv \"\$PID.part\" \"\$PID\"; ` +
		`exec sleep 1000" &) ; exit 0' >/dev/null 2>&1 &)`,
	"holds-output": `setsid sh -c 'trap "" TERM HUP; echo $$ > "$PID.part"; mv "$PID.part" "$PID"; ` +
		`sleep 1000; sleep 1000' &`,
	"own-group": `set -m; sh -c 'echo $$ > "$PID.part"; mv "$PID.part" "$PID"; exec sleep 1000' &`,
}

// leaving writes a pipeline with a task for each of orphanScripts, which ends as end says when the process exists.
func leaving(t *testing.T, end string) (path string, pids map[string]string) {
	t.Helper()
	dir := t.TempDir()
	path, pids = filepath.Join(dir, "leaving.yaml"), map[string]string{}
	var text strings.Builder
	text.WriteString("name: leaving\ntasks:\n")
	for name, script := range orphanScripts {
		pids[name] = filepath.Join(dir, name+".pid")
		fmt.Fprintf(&text, "  - id: %s\n    env: {PID: %q}\n    run: |\n      %s\n      until [ -e \"$PID\" ]; do "+
			"sleep 0.02; done\n      %s\n",
			name, pids[name], script, end)
	}
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path, pids
}

// left returns the processes that are alive, by the names of their files.
func left(t *testing.T, pids map[string]string) map[string]int {
	t.Helper()
	found := map[string]int{}
	for name, path := range pids {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		if syscall.Kill(pid, 0) == nil && !zombie(pid) {
			found[name] = pid
			t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
		}
	}
	return found
}

// thereAre waits until all the processes have begun.
func thereAre(t *testing.T, pids map[string]string) {
	t.Helper()
	dbtest.Eventually(t, "the processes have begun", func() bool {
		for _, path := range pids {
			if _, err := os.Stat(path); err != nil {
				return false
			}
		}
		return true
	})
}

// TestOrphansEndWithTheirAttempt checks that, however an attempt ends, its orphans are dead when its outcome is
// recorded.
func TestOrphansEndWithTheirAttempt(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p program) {
		for end, code := range map[string]int{"exit 0": 0, "exit 3": 1, "kill -9 $$": 1} {
			path, pids := leaving(t, end)
			run := p.begin(t, "run", path)
			if got := run.wait(t); got != code {
				t.Errorf("%s: exit code %d, want %d\n%s", end, got, code, run.stderr)
			}
			if found := left(t, pids); len(found) > 0 {
				t.Errorf("%s: alive: %v", end, found)
			}
		}
	})
}

// TestOrphansEndWhenStopped checks that a timeout, a cancellation and the end of the worker also end orphans.
func TestOrphansEndWhenStopped(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p program) {
		path, pids := leaving(t, "sleep 1000")
		serve := p.begin(t, "serve", "--drain", "1h")
		id := strings.TrimSpace(p.ok(t, "start", path))
		thereAre(t, pids)
		if found := left(t, pids); len(found) != len(pids) {
			t.Errorf("only these live while their tasks run: %v", found)
		}
		p.ok(t, "cancel", id)
		dbtest.Eventually(t, "a cancellation ends them", func() bool { return len(left(t, pids)) == 0 })

		path, pids = leaving(t, "sleep 1000")
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		text = bytes.ReplaceAll(text, []byte("    env:"), []byte("    timeout: 3s\n    env:"))
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		id = strings.TrimSpace(p.ok(t, "start", path))
		dbtest.Eventually(t, "the run fails", func() bool { s, _ := p.status(t, id); return s == "Failed" })
		if found := left(t, pids); len(found) > 0 {
			t.Errorf("after the timeout: %v", found)
		}

		path, pids = leaving(t, "sleep 1000")
		p.ok(t, "start", path)
		thereAre(t, pids)
		serve.signal(syscall.SIGTERM)
		dbtest.Eventually(t, "it drains",
			func() bool { return strings.Contains(serve.stderr.String(), "stopping: no more tasks") })
		dbtest.Eventually(t, "it gives back", func() bool {
			serve.signal(syscall.SIGTERM)
			return strings.Contains(serve.stderr.String(), "releasing tasks")
		})
		serve.wait(t)
		if found := left(t, pids); len(found) > 0 {
			t.Errorf("after the worker's end: %v", found)
		}
	})
}

// TestOrphanGetsTheGrace checks that an orphan of a stopped attempt may clean up, and gets one signal.
func TestOrphanGetsTheGrace(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p program) {
		dir := t.TempDir()
		path, log := filepath.Join(dir, "graceful.yaml"), filepath.Join(dir, "log")
		text := fmt.Sprintf(`
name: graceful
tasks:
  - id: a
    timeout: 2s
    env: {LOG: %q}
    run: |
      setsid sh -c 'trap "echo asked >> \"\$LOG\"; sleep 0.3; echo cleaned >> \"\$LOG\"; exit 0" TERM
        while :; do sleep 0.05; done' >/dev/null 2>&1 &
      sleep 1000
`, log)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if code, stdout, stderr := p.run(t, "run", path); code != 1 {
			t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
		}
		if got, err := os.ReadFile(log); err != nil || string(got) != "asked\ncleaned\n" {
			t.Errorf("got %q, %v", got, err)
		}
	})
}

// TestDaemonThatIsMeantToStay checks that a process in its own session, without the attempt's variables, is left
// alone, and that the worker reaps it when it ends.
func TestDaemonThatIsMeantToStay(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p program) {
		dir := t.TempDir()
		path, pids := filepath.Join(dir, "daemon.yaml"),
			map[string]string{"unset": filepath.Join(dir, "unset"), "empty": filepath.Join(dir, "empty")}
		text := fmt.Sprintf(`
name: daemon
tasks:
  - id: a
    run: |
      env -u SLUICE_TASK_EXECUTION_ID setsid sh -c \
        'echo $$ > %[1]q.part; mv %[1]q.part %[1]q; exec sleep 1000' >/dev/null 2>&1 &
      SLUICE_TASK_EXECUTION_ID= setsid sh -c \
        'echo $$ > %[2]q.part; mv %[2]q.part %[2]q; exec sleep 1000' >/dev/null 2>&1 &
      until [ -e %[1]q ] && [ -e %[2]q ]; do sleep 0.02; done
`, pids["unset"], pids["empty"])
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		serve := p.begin(t, "serve")
		p.completes(t, strings.TrimSpace(p.ok(t, "start", path)))
		found := left(t, pids)
		if len(found) != len(pids) {
			t.Fatalf("alive: %v", found)
		}
		for _, pid := range found {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Error(err)
			}
		}
		for name, pid := range found {
			dbtest.Eventually(t, name+" is reaped", func() bool { return syscall.Kill(pid, 0) != nil })
		}
		if len(serve.stderr.String()) == 0 {
			t.Error("serve has not logged anything")
		}
	})
}
