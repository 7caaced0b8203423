package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sluiceworks/sluice/platform/db/dbtest"
)

// The tests of this file run the program as users do: built, as a process, with signals.

var folder string

func TestMain(m *testing.M) {
	var err error
	if folder, err = os.MkdirTemp("", "sluice-test-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if err := os.RemoveAll(folder); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// binary builds the program, once.
var binary = sync.OnceValues(func() (string, error) {
	path := filepath.Join(folder, "sluice")
	if out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

// program is the built program with one database.
type program struct {
	path, url string
}

// each runs a test on both databases, and then verifies with the program what the test left.
func each(t *testing.T, run func(t *testing.T, p program)) {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	for name, url := range map[string]func(testing.TB) string{
		"sqlite":   dbtest.SQLiteURL,
		"postgres": dbtest.PostgresURL,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := program{path, url(t)}
			run(t, p)
			if out := p.ok(t, "verify"); !strings.Contains(out, ": no breach") {
				t.Error(out)
			}
		})
	}
}

// command returns a command that has not been started, without environment variables that are settings of sluice.
func (p program) command(args ...string) *exec.Cmd {
	cmd := exec.Command(p.path, args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "SLUICE_DATABASE_URL=" + p.url}
	return cmd
}

func (p program) run(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := p.command(args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

func (p program) ok(t *testing.T, args ...string) string {
	t.Helper()
	code, stdout, stderr := p.run(t, args...)
	if code != 0 {
		t.Fatalf("%q: exit code %d\n%s%s", args, code, stdout, stderr)
	}
	return stdout
}

// process runs concurrently with the test. It is killed at the end of the test at the latest.
type process struct {
	cmd    *exec.Cmd
	stderr *watched
	ended  chan struct{}
}

func (p program) begin(t *testing.T, args ...string) *process {
	t.Helper()
	return p.beginIn(t, nil, args...)
}

// beginIn is begin with additional environment variables.
func (p program) beginIn(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	r := &process{cmd: p.command(args...), stderr: &watched{}, ended: make(chan struct{})}
	r.cmd.Env = append(r.cmd.Env, env...)
	r.cmd.Stdout, r.cmd.Stderr = r.stderr, r.stderr
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(r.ended)
		_ = r.cmd.Wait() // how it ended is read from its state
	}()
	t.Cleanup(func() {
		r.signal(syscall.SIGKILL)
		<-r.ended
	})
	return r
}

// signal sends a signal. It has no effect on a process that has ended.
func (r *process) signal(s os.Signal) { _ = r.cmd.Process.Signal(s) }

// wait returns the exit code.
func (r *process) wait(t *testing.T) int {
	t.Helper()
	select {
	case <-r.ended:
		return r.cmd.ProcessState.ExitCode()
	case <-time.After(time.Minute):
		t.Fatalf("the process does not end:\n%s", r.stderr)
		return 0
	}
}

// watched is a buffer that one goroutine writes and another one reads.
type watched struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.Write(p)
}

func (w *watched) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.String()
}

// status returns the status of an execution and of its tasks.
func (p program) status(t *testing.T, id string) (execution string, tasks map[string]string) {
	t.Helper()
	var doc struct {
		Execution struct {
			Status string `json:"status"`
		} `json:"execution"`
		Tasks []struct {
			TaskName string `json:"id"`
			Status   string `json:"status"`
		} `json:"tasks"`
	}
	if err := json.Unmarshal([]byte(p.ok(t, "show", id, "-o", "json")), &doc); err != nil {
		t.Fatal(err)
	}
	tasks = map[string]string{}
	for _, x := range doc.Tasks {
		tasks[x.TaskName] = x.Status
	}
	return doc.Execution.Status, tasks
}

// completes waits until an execution has completed.
func (p program) completes(t *testing.T, id string) {
	t.Helper()
	dbtest.Eventually(t, "the run completes", func() bool {
		s, _ := p.status(t, id)
		return s == "Completed"
	})
}
