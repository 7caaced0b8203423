package shell

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// entries returns the paths that match, including hidden ones.
func entries(t *testing.T, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// worker starts a process whose command prints its attempt's directory and then waits.
func worker(t *testing.T, base string) (p *exec.Cmd, directory string) {
	t.Helper()
	p = exec.Command(os.Args[0])
	p.Env = append(os.Environ(), "TMPDIR="+base, workerScript+
		`=dirname $SLUICE_OUTPUT; while :; do read line </dev/null || :; done`)
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		t.Fatal("the worker's command printed nothing")
	}
	return p, lines.Text()
}

func kill(t *testing.T, p *exec.Cmd) {
	t.Helper()
	if err := p.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := p.Wait(); !errors.As(err, &exit) {
		t.Error(err)
	}
}

// TestDirectoriesOfDeadWorkers checks that the next worker removes the directory of a killed worker but not that of a
// live one.
func TestDirectoriesOfDeadWorkers(t *testing.T) {
	base := t.TempDir()
	dead, deadDirectory := worker(t, base)
	live, liveDirectory := worker(t, base)
	defer kill(t, live)
	if _, err := os.Stat(deadDirectory); err != nil {
		t.Errorf("a live worker's directory: %v", err)
	}
	kill(t, dead)
	t.Setenv("TMPDIR", base)
	if _, err := handler(t).Run(t.Context(), call("true")); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Dir(deadDirectory)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the dead worker's directory: %v", err)
	}
	for _, path := range []string{liveDirectory, filepath.Join(liveDirectory, "input.json")} {
		if _, err := os.Stat(path); err != nil {
			t.Errorf("the live worker's files: %v", err)
		}
	}
	info, err := os.Stat(filepath.Dir(liveDirectory))
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the live worker's directory: %v, %v", info, err)
	}
}

// TestWhereAttemptsAreKept checks that attempts are in memory except for large inputs and if TMPDIR is set.
func TestWhereAttemptsAreKept(t *testing.T) {
	runtime, temporary := t.TempDir(), t.TempDir()
	t.Setenv("TMPDIR", "")
	t.Setenv("XDG_RUNTIME_DIR", runtime)
	small := bases(10)
	if !inMemory(runtime) && small[0] == runtime {
		t.Errorf("%s is on a disk and was chosen: %v", runtime, small)
	}
	if got := bases(largestInMemory + 1); len(got) != 1 || got[0] != "/tmp" {
		t.Errorf("a large input: %v", got)
	}
	if inMemory("/dev/shm") {
		dir, err := os.MkdirTemp("/dev/shm", "sluice-test-") //nolint:usetesting // it must be there
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = os.Remove(dir) }()
		t.Setenv("XDG_RUNTIME_DIR", dir)
		if got := strings.Join(bases(10), " "); got != dir+" /dev/shm /tmp" {
			t.Errorf("a small input: %s", got)
		}
	}
	t.Setenv("TMPDIR", temporary)
	if got := bases(10); len(got) != 1 || got[0] != temporary {
		t.Errorf("with TMPDIR: %v", got)
	}
}

// TestDirectoryThatWasRemoved checks that tasks still run after a cleaner of temporary files has removed the
// directory.
func TestDirectoryThatWasRemoved(t *testing.T) {
	base := t.TempDir()
	t.Setenv("TMPDIR", base)
	h := handler(t)
	for range 2 {
		if _, err := h.Run(t.Context(), call(`cat "$SLUICE_INPUT"`)); err != nil {
			t.Fatal(err)
		}
		for _, path := range entries(t, filepath.Join(base, "*")) {
			if err := os.RemoveAll(path); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestNoThreadPerCommand checks that running commands use no threads.
func TestNoThreadPerCommand(t *testing.T) {
	if fd, err := unix.PidfdOpen(os.Getpid(), unix.PIDFD_NONBLOCK); err != nil {
		t.Logf("this kernel has no pidfds (%v): each command takes a thread", err)
		return
	} else if err := unix.Close(fd); err != nil {
		t.Fatal(err)
	}
	threads := func() int { return len(entries(t, "/proc/self/task/*")) }
	h := handler(t)
	const commands = 40
	var all []*running
	before := threads()
	for range commands {
		all = append(all, runWith(t, t.Context(), h, `echo ready; sleep 1`))
	}
	for _, r := range all {
		r.line(t)
	}
	if n := threads(); n-before > commands/2 {
		t.Errorf("%d threads before %d commands, %d with them", before, commands, n)
	}
	for _, r := range all {
		if _, err := r.end(t); err != nil {
			t.Error(err)
		}
	}
}
