package app_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// TestHangup checks that a hangup shuts serve down in order unless it was ignored at the start, and that an ignored
// interrupt stays ignored.
func TestHangup(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		trap string
		end  syscall.Signal
		mask uint64 // of ignored signals
	}{
		{"", syscall.SIGHUP, 0},
		{"trap '' HUP INT; ", syscall.SIGTERM, 1<<(syscall.SIGHUP-1) | 1<<(syscall.SIGINT-1)},
	} {
		cmd := exec.Command("sh", "-c", c.trap+`exec "$0" serve --database-url "$1"`, os.Args[0],
			"sqlite://"+filepath.Join(t.TempDir(), "signals.db"))
		cmd.Env = append(os.Environ(), asProgram+"=1")
		stderr, err := cmd.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		log, signalled := "", false
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			log += lines.Text() + "\n"
			if signalled || !strings.Contains(lines.Text(), "serving") {
				continue
			}
			signalled = true
			if got := ignored(t, cmd.Process.Pid) & (1<<(syscall.SIGHUP-1) | 1<<(syscall.SIGINT-1)); got != c.mask {
				t.Errorf("%q: ignored signals %x, want %x", c.trap, got, c.mask)
			}
			if err := cmd.Process.Signal(c.end); err != nil {
				t.Error(err)
			}
		}
		if err := cmd.Wait(); err != nil || !strings.Contains(log, "stopping: no more tasks are taken") ||
			!strings.Contains(log, "stopped") {
			t.Errorf("%q: %v\n%s", c.trap, err, log)
		}
	}
}

// ignored returns the mask of the signals that a process ignores.
func ignored(t *testing.T, pid int) uint64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`SigIgn:\s*([0-9a-f]+)`).FindSubmatch(status)
	if found == nil {
		t.Fatalf("no SigIgn in %s", status)
	}
	mask, err := strconv.ParseUint(string(found[1]), 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	return mask
}
