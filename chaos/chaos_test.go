//go:build chaos

package chaos

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// worker is the path of the worker's binary, which is built once for all tests.
var worker string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "chaos")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer func() { _ = os.RemoveAll(dir) }()
		worker = filepath.Join(dir, "worker")
		if err := Build(context.Background(), worker); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

// small returns the size for the regular tests: one to two percent of the full run.
func small(dir string) Config {
	return Config{
		Workers: 4, Slots: 16, Lease: time.Second, Open: 40, Poison: 100, Transitions: 12_000, Worker: worker, Dir: dir,
		Limit: 2 * time.Minute,
		Strikes: map[string]int{
			"kill": 20, "graceful stop": 3, "zombie": 3, "immediate stop": 4, "backend terminated": 4,
			"link cut before COMMIT": 2, "link cut after COMMIT": 3,
			ReadOnly: 2,
		},
	}
}

// scratch returns a directory that PostgreSQL's user can enter. It is kept if the test fails.
func scratch(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "chaos") //nolint:usetesting // it is kept if the test fails
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the workers' logs and ledgers are in %s", dir)
			return
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func startTestServer(t *testing.T, dir string, settings ...string) *Server {
	t.Helper()
	path := filepath.Join(dir, "pg")
	if err := os.Mkdir(path, 0o755); err != nil {
		t.Fatal(err)
	}
	s, err := StartServer(t.Context(), path, settings...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// check fails the test for every breach, and for every goal that was not reached.
func check(t *testing.T, c Config, r Report, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Log(r.Summary())
	for _, b := range r.Breaches {
		t.Error(b)
	}
	for _, m := range c.Missing(r) {
		t.Error("not reached: ", m)
	}
}

func TestPostgresSurvivesEverythingAtOnce(t *testing.T) {
	dir := scratch(t)
	c := small(dir)
	c.Refused = 1
	report, err := Run(t.Context(), c, startTestServer(t, dir))
	check(t, c, report, err)
	if slow := Percentile(report.Killed, 0.99); slow > Millis((c.Lease + 5*time.Second).Milliseconds()) {
		t.Errorf("takeover after a kill took %d ms at 99 %%", slow)
	}
	if slow := Percentile(report.Stopped, 1); slow > 2000 {
		t.Errorf("takeover after a graceful stop took up to %d ms", slow)
	}
}

func TestSQLiteSurvivesKillsAndZombies(t *testing.T) {
	dir := scratch(t)
	c := small(dir)
	c.Transitions, c.Strikes = 5000, map[string]int{"kill": 10, "graceful stop": 2, "zombie": 2}
	report, err := Run(t.Context(), c, nil)
	check(t, c, report, err)
}
