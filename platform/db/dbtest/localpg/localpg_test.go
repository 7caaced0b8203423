package localpg

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"
)

const helperEnv = "LOCALPG_TEST_HELPER"

// TestMain lets the test binary play a process that starts a server and is then killed.
func TestMain(m *testing.M) {
	if os.Getenv(helperEnv) == "" {
		goleak.VerifyTestMain(m)
		return
	}
	s, err := Start(context.Background(), Config{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(s.PID(), s.dir)
	select {} // until it is killed
}

func TestServerDiesWithItsProcess(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), helperEnv+"=1")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal("the helper started no server: ", err)
	}
	var pid int
	var dir string
	if _, err := fmt.Sscan(line, &pid, &dir); err != nil || syscall.Kill(pid, 0) != nil {
		t.Fatalf("the helper said %q, expected a running process and its directory: %v", line, err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // reports the kill
	eventually(t, "the server ends", func() bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) })
	eventually(t, "its files are removed", func() bool { return gone(dir) })
}

func gone(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, os.ErrNotExist)
}

// eventually waits for an effect of another process of which there is no notification.
func eventually(t *testing.T, what string, happened func() bool) {
	t.Helper()
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !happened() {
		select {
		case <-deadline.C:
			t.Fatalf("%s: not within 30 s", what)
		case <-tick.C:
		}
	}
}

func TestStopLeavesNothing(t *testing.T) {
	s, err := Start(t.Context(), Config{})
	if err != nil {
		t.Fatal(err)
	}
	pid := s.PID()
	if err := syscall.Kill(pid, 0); err != nil {
		t.Errorf("PID gives %d, which is no process: %v", pid, err)
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("process %d is still there after Stop: %v", pid, err)
	}
	if !gone(s.dir) {
		t.Errorf("%s is still there after Stop", s.dir)
	}
}

func TestSettings(t *testing.T) {
	for _, test := range []struct {
		cfg  Config
		want map[string]string
	}{
		{Config{}, map[string]string{
			"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off",
			"max_connections": "300",
		}},
		{
			Config{Durable: true, Settings: map[string]string{"shared_buffers": "32MB", "max_wal_size": "2GB"}},
			map[string]string{
				"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on",
				"shared_buffers": "32MB", "max_wal_size": "2GB",
			},
		},
	} {
		s, err := Start(t.Context(), test.cfg)
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range test.want {
			if got := show(t, s.URL(), name); got != want {
				t.Errorf("%+v: %s = %s, expected %s", test.cfg, name, got, want)
			}
		}
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	}
}

// TestServerNeedsNoReference checks that a server keeps running if its owner keeps only the URL.
func TestServerNeedsNoReference(t *testing.T) {
	url := func() string {
		s, err := Start(t.Context(), Config{})
		if err != nil {
			t.Fatal(err)
		}
		return s.URL()
	}()
	for range 3 {
		runtime.GC()
	}
	if got := show(t, url, "fsync"); got != "off" {
		t.Errorf("fsync = %s, expected off", got)
	}
	running.Range(func(s, _ any) bool {
		if err := s.(*Server).Stop(); err != nil {
			t.Error(err)
		}
		return true
	})
}

func show(t *testing.T, url, setting string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	var value string
	if err := conn.QueryRow(t.Context(), `SELECT current_setting($1)`, setting).Scan(&value); err != nil {
		t.Fatal(err)
	}
	return value
}

// TestStartSaysWhy checks that a server that cannot start fails immediately, with its own message, and leaves no
// files.
func TestStartSaysWhy(t *testing.T) {
	t.Setenv("TMPDIR", shortDir(t))
	_, err := Start(t.Context(), Config{Settings: map[string]string{"shared_buffers": "nonsense"}})
	if err == nil || !strings.Contains(err.Error(), "shared_buffers") {
		t.Errorf("Start gave %v, expected the server's complaint about shared_buffers", err)
	}
	left, err := filepath.Glob(filepath.Join(os.TempDir(), "*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

// shortDir returns a directory that the server's user may search. The name of t.TempDir is too long for a socket.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "t") //nolint:usetesting // t.TempDir's own directory is closed to other users
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil { // the server's user creates and removes its files here
		t.Fatal(err)
	}
	return dir
}

func TestMissingProgramsAreNamed(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	saved := places
	places = []string{filepath.Join(t.TempDir(), "*", "bin")}
	defer func() { places = saved }()
	_, err := Start(t.Context(), Config{})
	if !errors.Is(err, ErrNotInstalled) || !strings.Contains(err.Error(), "apt-get install postgresql") {
		t.Errorf("Start gave %v, expected ErrNotInstalled with what to install", err)
	}
}

func TestNewestVersionWins(t *testing.T) {
	root := t.TempDir()
	for _, version := range []string{"9", "15", "16", "17"} {
		bin := filepath.Join(root, version, "bin")
		if err := os.MkdirAll(bin, 0o700); err != nil {
			t.Fatal(err)
		}
		programs := []string{"initdb", "postgres"}
		if version == "17" { // only the client programs
			programs = []string{"psql"}
		}
		for _, p := range programs {
			if err := os.WriteFile(filepath.Join(bin, p), []byte("#!/bin/sh\n"), 0o700); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Setenv("PATH", t.TempDir())
	saved := places
	places = []string{filepath.Join(root, "*", "bin")}
	defer func() { places = saved }()
	got, err := Binaries()
	if want := filepath.Join(root, "16", "bin"); err != nil || got != want {
		t.Errorf("Binaries returned %s, %v; expected %s", got, err, want)
	}
}
