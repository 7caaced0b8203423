package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluiceworks/sluice/platform/db/dbtest"
)

// held writes a pipeline whose first task waits for a file. It returns the pipeline's path and a function that
// creates the file.
func held(t *testing.T) (path string, release func()) {
	t.Helper()
	dir := t.TempDir()
	path, gate := filepath.Join(dir, "held.yaml"), filepath.Join(dir, "gate")
	text := fmt.Sprintf(`
name: held
tasks:
  - {id: wait, run: 'echo begun; : > %q; until [ -e %q ]; do sleep 0.02; done'}
  - {id: after, needs: [wait], run: echo done}
`, begunBeside(path), gate)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path, func() {
		if err := os.WriteFile(gate, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// begunBeside returns the path of the file that a held pipeline's first task creates.
func begunBeside(path string) string { return filepath.Join(filepath.Dir(path), "begun") }

func TestExamples(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p program) {
		code, stdout, stderr := p.run(t, "run", "examples/first.yaml", "--set", "dir=examples")
		if code != 0 || !strings.Contains(stdout, "first Completed in ") ||
			!strings.Contains(stderr, "largest failed, again in ") {
			t.Errorf("first: exit code %d\n%s%s", code, stdout, stderr)
		}
		code, stdout, _ = p.run(t, "run", "examples/failing.yaml")
		if code != 1 || !strings.Contains(stdout, "connection refused by the warehouse") {
			t.Errorf("failing: exit code %d\n%s", code, stdout)
		}
		if code, stdout, _ = p.run(t, "run", "examples/failing.yaml", "--set", "broken=false"); code != 0 {
			t.Errorf("failing, mended: exit code %d\n%s", code, stdout)
		}
		code, stdout, stderr = p.run(t, "run", "examples/mistakes/invalid.yaml")
		if code != 2 || stdout != "" || strings.Count(stderr, "examples/mistakes/invalid.yaml:") < 15 {
			t.Errorf("invalid: exit code %d\n%s%s", code, stdout, stderr)
		}
	})
}

// TestWordcount checks that the extension in main.go provides its handlers and its pipeline.
func TestWordcount(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p program) {
		dir := t.TempDir()
		for name, text := range map[string]string{
			"a.md": "one two\nthree\n", "b.md": "four\n",
			"c.txt": "not counted",
		} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		var doc struct {
			Tasks []struct {
				TaskName string          `json:"id"`
				Output   json.RawMessage `json:"output"`
			} `json:"tasks"`
		}
		if err := json.Unmarshal([]byte(p.ok(t, "run", "wordcount", "--set", "dir="+dir, "-o", "json")),
			&doc); err != nil {
			t.Fatal(err)
		}
		var got map[string]float64
		if err := json.Unmarshal(doc.Tasks[3].Output, &got); err != nil {
			t.Fatal(err)
		}
		want := map[string]float64{"files": 2, "words": 4, "lines": 3, "words_per_line": 4. / 3, "attempts_taken": 1}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		code, stdout, _ := p.run(t, "run", "wordcount", "--set", "dir=/nowhere")
		if code != 1 || !strings.Contains(stdout, "find Failed (attempt 1/3):") ||
			!strings.Contains(stdout, "/nowhere: no such file") {
			t.Errorf("exit code %d\n%s", code, stdout)
		}
		if code, _, stderr := p.run(t, "run", "wordcount", "--set", "pattern=["); code != 1 {
			t.Errorf("a bad pattern: exit code %d\n%s", code, stderr)
		}
	})
}

// TestInterrupt checks that one Ctrl-C ends `run` with 130 and leaves the run to be continued.
func TestInterrupt(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p program) {
		path, release := held(t)
		run := p.begin(t, "run", path)
		dbtest.Eventually(t, "the task starts",
			func() bool { return strings.Contains(run.stderr.String(), "wait started") })
		run.signal(os.Interrupt)
		run.signal(os.Interrupt) // as a wrapper that passes it on would
		if code := run.wait(t); code != 130 {
			t.Errorf("exit code %d\n%s", code, run.stderr)
		}
		if !strings.Contains(run.stderr.String(), "`sluice serve` goes on with it") {
			t.Errorf("no word of how to go on:\n%s", run.stderr)
		}
		id := strings.Fields(run.stderr.String())[1]
		release()
		serve := p.begin(t, "serve")
		p.completes(t, id)
		serve.signal(syscall.SIGTERM)
		if code := serve.wait(t); code != 0 {
			t.Errorf("serve: exit code %d\n%s", code, serve.stderr)
		}
	})
}

// TestCancelledRun checks that `run` ends with 1 if somebody cancels the run, and that its progress does not mention
// outcomes that come too late.
func TestCancelledRun(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p program) {
		path, _ := held(t)
		run := p.begin(t, "run", path)
		dbtest.Eventually(t, "the task runs", func() bool {
			_, err := os.Stat(begunBeside(path))
			return err == nil
		})
		id := strings.Fields(run.stderr.String())[1]
		p.ok(t, "cancel", id, "--reason", "not needed")
		if code := run.wait(t); code != 1 {
			t.Errorf("exit code %d", code)
		}
		if text := run.stderr.String(); strings.Contains(text, "late") || strings.Contains(text, `"level"`) ||
			!strings.Contains(text, "Cancelled") {
			t.Errorf("the progress:\n%s", text)
		}
	})
}

// TestServeDrains checks that SIGTERM lets running tasks finish, starts no more, and ends with 0, and that the
// password is never shown.
func TestServeDrains(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p program) {
		path, release := held(t)
		id := strings.TrimSpace(p.ok(t, "start", path))
		serve := p.begin(t, "serve", "--pipelines", filepath.Dir(path))
		dbtest.Eventually(t, "the task runs", func() bool {
			_, tasks := p.status(t, id)
			return tasks["wait"] == "Running"
		})
		serve.signal(syscall.SIGTERM)
		dbtest.Eventually(t, "it stops",
			func() bool { return strings.Contains(serve.stderr.String(), "stopping: no more tasks are taken") })
		release()
		if code := serve.wait(t); code != 0 {
			t.Errorf("exit code %d\n%s", code, serve.stderr)
		}
		if _, tasks := p.status(t, id); tasks["wait"] != "Completed" || tasks["after"] != "Ready" {
			t.Errorf("after the drain: %v", tasks)
		}
		for line := range strings.Lines(serve.stderr.String()) {
			if !json.Valid([]byte(line)) {
				t.Errorf("not a line of JSON: %s", line)
			}
		}
	})
}

// TestSecondSignal checks that a second signal kills running tasks immediately, whatever signals they trap, and
// releases them.
func TestSecondSignal(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p program) {
		dir := t.TempDir()
		path, pidFile := filepath.Join(dir, "deaf.yaml"), filepath.Join(dir, "pid")
		text := fmt.Sprintf(
			"name: deaf\ntasks:\n  - id: a\n    run: |\n      trap '' TERM\n      sleep 1000 & echo $! > %q.part; mv "+
				"%q.part %q\n      wait; wait\n",
			pidFile, pidFile, pidFile)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		id := strings.TrimSpace(p.ok(t, "start", path))
		serve := p.begin(t, "serve", "--drain", "1h", "--lease", "1h")
		var pid int
		dbtest.Eventually(t, "the task runs", func() bool {
			text, err := os.ReadFile(pidFile)
			if err == nil {
				pid, err = strconv.Atoi(strings.TrimSpace(string(text)))
			}
			return err == nil
		})
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for ended := false; !ended; {
			if !strings.Contains(serve.stderr.String(), "releasing tasks") {
				serve.signal(syscall.SIGTERM)
			}
			select {
			case <-serve.ended:
				ended = true
			case <-tick.C:
			}
		}
		if code := serve.wait(t); code != 0 {
			t.Errorf("exit code %d\n%s", code, serve.stderr)
		}
		if _, tasks := p.status(t, id); tasks["a"] != "Ready" {
			t.Errorf("it was not given back: %v", tasks)
		}
		dbtest.Eventually(t, "the program is dead", func() bool { return syscall.Kill(pid, 0) != nil || zombie(pid) })
	})
}

// zombie reports whether a process has ended and waits to be reaped.
func zombie(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && strings.Contains(string(stat), ") Z ")
}

// TestKilledWorker checks that another worker recovers a task within the lease after kill -9.
func TestKilledWorker(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p program) {
		path, release := held(t)
		id := strings.TrimSpace(p.ok(t, "start", path))
		first := p.begin(t, "serve", "--lease", "1s")
		dbtest.Eventually(t, "the task runs", func() bool {
			_, tasks := p.status(t, id)
			return tasks["wait"] == "Running"
		})
		first.signal(syscall.SIGKILL)
		first.wait(t)
		release()
		second := p.begin(t, "serve", "--lease", "1s")
		p.completes(t, id)
		if out := p.ok(t, "show", id); !strings.Contains(out, "wait attempt 1 Lost") {
			t.Error(out)
		}
		second.signal(syscall.SIGTERM)
		if code := second.wait(t); code != 0 {
			t.Errorf("exit code %d\n%s", code, second.stderr)
		}
	})
}

// TestFirstRun checks what `make run` shows.
func TestFirstRun(t *testing.T) {
	t.Parallel()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("scripts/first-run.sh")
	cmd.Env = append(os.Environ(), "SLUICE="+path)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, words := range []string{
		"$ sluice run examples/first.yaml", "first Completed in ", "$ sluice show ", "largest attempt 1 Failed",
		"task_retry_scheduled",
		"nothing waits for a worker", "checked 1 pipeline execution, 7 tasks,", ": no breach",
	} {
		if !strings.Contains(string(out), words) {
			t.Errorf("not found: %q in\n%s", words, out)
		}
	}
}
