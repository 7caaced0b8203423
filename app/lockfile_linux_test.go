package app_test

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/sluiceworks/sluice/platform/db/dbtest"
)

// TestLockFileSaysForWhomItWaits checks that a process that waits for another one's migration of the same file says
// so, and continues afterwards.
func TestLockFileSaysForWhomItWaits(t *testing.T) {
	t.Parallel()
	url := dbtest.EmptySQLiteURL(t)
	path := strings.TrimPrefix(url, "sqlite://") + ".lock"
	lock, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.Close() }() // it is already closed, unless the test has failed
	if _, err := lock.WriteString("4711\n"); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	p := &program{url: url}
	waiting := p.begin(t, "start", "../examples/first.yaml")
	report := "waiting for the lock " + path + " (process 4711) for 1s: another migration or drop holds the lock"
	dbtest.Eventually(t, "the wait is reported",
		func() bool { return strings.Contains(waiting.stderr.String(), report) })
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	if r := waiting.wait(t); r.code != 0 || strings.Count(r.stderr, "waiting for") != 1 {
		t.Errorf("exit code %d\n%s", r.code, r.stderr)
	}
}
