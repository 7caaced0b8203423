//go:build unix

package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sluiceworks/sluice/platform/db/dbtest"
)

const stranger = 65534 // a user who owns nothing

// TestReadOnlyFile checks that a user who may not write a database can read it, while a process writes it and after
// that has ended, changes nothing, and gets clear errors for attempts to write.
func TestReadOnlyFile(t *testing.T) {
	t.Parallel()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	owner := program{path, dbtest.SQLiteURL(t)}
	file := strings.TrimPrefix(owner.url, "sqlite://")
	_, out, _ := owner.run(t, "run", "examples/failing.yaml")
	id := strings.Fields(out[strings.Index(out, "next: sluice show ")+len("next: sluice show "):])[0]
	reader := otherUser(owner)
	t.Run("at rest", func(t *testing.T) {
		protect(t, file)
		reader.looks(t, file, id)
	})
	t.Run("while it is written", func(t *testing.T) {
		serve := owner.begin(t, "serve")
		dbtest.Eventually(t, "serving", func() bool { return strings.Contains(serve.stderr.String(), "serving") })
		t.Run("looking", func(t *testing.T) {
			protect(t, file)
			reader.looks(t, file, id)
		})
		serve.signal(syscall.SIGTERM)
		if code := serve.wait(t); code != 0 {
			t.Errorf("serve: exit code %d\n%s", code, serve.stderr)
		}
	})
}

// reader runs the program as a user who may not write. If the tests do not run as root, it is their own user, for
// whom protect removes the right.
type reader struct {
	program
	credential *syscall.Credential
}

func otherUser(p program) reader {
	if os.Geteuid() == 0 {
		return reader{p, &syscall.Credential{Uid: stranger, Gid: stranger}}
	}
	return reader{p, nil}
}

func (p reader) runAs(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := p.command(args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.credential}
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// looks checks that the user can read everything and fails to write.
func (p reader) looks(t *testing.T, file, id string) {
	t.Helper()
	before, err := filepath.Glob(file + "*")
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"list"},
		{"show", id},
		{"events", "--pipeline-execution", id},
		{"outbox"},
		{"workers"},
		{"verify"},
		{"migrate", "status"},
	} {
		if code, stdout, stderr := p.runAs(t, args...); code != 0 {
			t.Errorf("%q: exit code %d\n%s%s", args, code, stdout, stderr)
		}
	}
	if _, stdout, _ := p.runAs(t, "verify"); !strings.Contains(stdout, "checked 1 pipeline execution") {
		t.Errorf("verify: %s", stdout)
	}
	for _, args := range [][]string{
		{"retry", id},
		{"start", "examples/first.yaml"},
		{"run", "examples/first.yaml"},
		{"cleanup-events", "--older-than", "0"},
	} {
		code, stdout, stderr := p.runAs(t, args...)
		if code != 4 || !strings.Contains(stderr, "the database is read-only: this user may not write "+file) {
			t.Errorf("%q: exit code %d\n%s%s", args, code, stdout, stderr)
		}
	}
	if after, err := filepath.Glob(file + "*"); err != nil || strings.Join(after, " ") != strings.Join(before, " ") {
		t.Errorf("the files were %q, now %q: %v", before, after, err)
	}
}

// protect lets everybody read a database, and, until the end of the test, nobody except root write it.
func protect(t *testing.T, file string) {
	t.Helper()
	files, err := filepath.Glob(file + "*")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		chmod(t, f, 0o444, 0o600)
	}
	chmod(t, filepath.Dir(file), 0o555, 0o755)
	for _, above := range []string{filepath.Dir(filepath.Dir(file)), folder} {
		chmod(t, above, 0o755, 0o755)
	}
}

// chmod sets a file's mode, and another one at the end of the test.
func chmod(t *testing.T, path string, mode, afterwards os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.Chmod(path, afterwards); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Error(err)
		}
	})
}
