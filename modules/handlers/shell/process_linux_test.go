package shell

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluiceworks/sluice/modules/tasks"
)

// patience bounds each wait of a test. Only a broken test waits that long.
const patience = 20 * time.Second

// gone waits until no process has this id, or the process is dead and only not reaped by the process that inherited
// it.
func gone(t *testing.T, pid int) {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(fd) }()
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(patience.Milliseconds()))
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case n != 1:
			t.Errorf("process %d is still alive (%v)", pid, err)
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		return
	}
}

// alive fails the test unless the process is alive.
func alive(t *testing.T, pid int) {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil || strings.Contains(string(stat), ") Z ") {
		t.Fatalf("process %d does not live: %s, %v", pid, stat, err)
	}
}

// running is a command whose output the test watches.
type running struct {
	lines  *bufio.Scanner
	result chan error
}

// run starts a script with the context and grace period that the test chooses.
func run(t *testing.T, ctx context.Context, grace time.Duration, script string) *running {
	t.Helper()
	h := handler(t)
	h.Grace = grace
	return runWith(t, ctx, h, script)
}

func runWith(t *testing.T, ctx context.Context, h *Handler, script string) *running {
	t.Helper()
	r, w := io.Pipe()
	c := call(script)
	c.Stdout = w
	result := make(chan error, 1)
	go func() {
		_, err := h.Run(ctx, c)
		_ = w.Close()
		result <- err
	}()
	return &running{lines: bufio.NewScanner(r), result: result}
}

func (r *running) line(t *testing.T) string {
	t.Helper()
	if !r.lines.Scan() {
		t.Fatalf("the command printed no more: %v", <-r.result)
	}
	return r.lines.Text()
}

func (r *running) pid(t *testing.T) int {
	t.Helper()
	pid, err := strconv.Atoi(r.line(t))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// end reads the remaining output and returns the command's error.
func (r *running) end(t *testing.T) (rest []string, err error) {
	t.Helper()
	ended := make(chan error, 1)
	go func() {
		for r.lines.Scan() {
			rest = append(rest, r.lines.Text())
		}
		ended <- <-r.result
	}()
	select {
	case err := <-ended:
		return rest, err
	case <-time.After(patience):
		t.Fatal("the handler does not return")
		return nil, nil
	}
}

func TestCancelKillsTheGroup(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r := run(t, ctx, patience, `sleep 1000 & echo $!; echo $$; wait`)
	grandchild, child := r.pid(t), r.pid(t)
	alive(t, grandchild)
	cancel()
	if _, err := r.end(t); !errors.Is(err, context.Canceled) || !strings.HasPrefix(err.Error(), "command stopped: ") {
		t.Errorf("got %v", err)
	}
	gone(t, grandchild)
	gone(t, child)
}

func TestTimeoutKillsTheGroup(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	r := run(t, ctx, patience, `sleep 1000 & echo $!; echo 'waiting for it' >&2; sleep 1000`)
	grandchild := r.pid(t)
	_, err := r.end(t)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.HasSuffix(err.Error(), ": waiting for it") ||
		kindOf(err) != "" {
		t.Errorf("got %v, want the context's error with the last line", err)
	}
	gone(t, grandchild)
}

func TestDeafGroupIsKilledAfterTheGrace(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r := run(t, ctx, 50*time.Millisecond, `trap '' TERM; sleep 1000 & echo $!; echo $$; wait; wait; sleep 1000`)
	grandchild, child := r.pid(t), r.pid(t)
	cancel()
	if _, err := r.end(t); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	gone(t, grandchild)
	gone(t, child)
}

func TestGraceLetsACommandCleanUp(t *testing.T) {
	// The loop uses shell builtins only, because a shell that receives the signal between fork and exec may lose it.
	for name, script := range map[string]string{
		"the shell": `trap 'echo cleaned; exit 0' TERM; echo $$; while :; do :; done`,
		"a program of the shell": `sh -c 'trap "sleep 0.2; echo cleaned; exit 0" TERM; echo $$; ` +
			`while :; do :; done'; echo never`,
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			r := run(t, ctx, patience, script)
			pid := r.pid(t)
			cancel()
			rest, err := r.end(t)
			if strings.Join(rest, " ") != "cleaned" || !errors.Is(err, context.Canceled) {
				t.Errorf("printed %q, ended with %v", rest, err)
			}
			gone(t, pid)
		})
	}
}

func TestBackgroundChildrenDieWithTheirTask(t *testing.T) {
	for _, end := range []string{"exit 0", "exit 1", "kill -9 $$"} {
		r := run(t, t.Context(), patience, `sleep 1000 & echo $!; (trap '' TERM HUP; sleep 1000) & echo $!; `+end)
		first, second := r.pid(t), r.pid(t)
		begin := time.Now()
		_, err := r.end(t)
		if (err == nil) != (end == "exit 0") || time.Since(begin) > patience/2 {
			t.Errorf("%s: got %v", end, err)
		}
		gone(t, first)
		gone(t, second)
	}
}

func TestProcessThatLeftTheGroupHoldsNothingUp(t *testing.T) {
	dir := t.TempDir()
	r := run(t, t.Context(), patience,
		`mkfifo `+dir+`/f; setsid sh -c 'echo $$ >`+dir+`/f; exec sleep 1000' & read pid <`+dir+`/f; echo $pid`)
	escaped := r.pid(t)
	t.Cleanup(func() { _ = syscall.Kill(escaped, syscall.SIGKILL) })
	if _, err := r.end(t); err != nil {
		t.Error(err)
	}
	alive(t, escaped)
}

func TestCommandDiesWithItsWorker(t *testing.T) {
	worker := exec.Command(os.Args[0])
	worker.Env = append(os.Environ(), workerScript+`=echo $$; while :; do read line </dev/null || :; done`)
	out, err := worker.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := worker.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		t.Fatal("the worker's command printed nothing")
	}
	pid, err := strconv.Atoi(lines.Text())
	if err != nil {
		t.Fatal(err)
	}
	alive(t, pid)
	if err := worker.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	gone(t, pid)
	var exit *exec.ExitError
	if err := worker.Wait(); !errors.As(err, &exit) {
		t.Error(err)
	}
}

func TestNoDescriptorIsLeft(t *testing.T) {
	count := func() int {
		open, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(open)
	}
	h := handler(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	once := func() {
		for script, ctx := range map[string]context.Context{
			"true": t.Context(), "exit 1": t.Context(),
			"sleep 9": ctx,
		} {
			_, _ = h.Run(ctx, call(script))
		}
		_, _ = h.Run(t.Context(),
			&tasks.Attempt{With: call("true").With, Env: map[string]string{"A": strings.Repeat("x", 1<<20)}})
	}
	once()
	before := count()
	for range 10 {
		once()
	}
	if after := count(); after > before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

func withCancel(t *testing.T) (context.Context, context.CancelFunc) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	return ctx, cancel
}

// stopped waits until the process has stopped.
func stopped(t *testing.T, pid int) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(stat), ") T ") {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("process %d does not stop: %s", pid, stat)
		case <-tick.C:
		}
	}
}
