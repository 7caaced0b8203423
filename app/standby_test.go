package app_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/sluiceworks/sluice/platform/db/dbtest/localpg"
)

// startServer starts a PostgreSQL server for one test.
func startServer(t *testing.T, c localpg.Config) (url string) {
	t.Helper()
	s, err := localpg.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s.URL()
}

// TestStandby checks that on a standby, doctor and all commands that write report it and which server to name, and
// that reading works.
func TestStandby(t *testing.T) {
	t.Parallel()
	primary := &program{url: startServer(t, localpg.Config{})}
	primary.ok(t, "migrate")
	id := primary.start(t, file(t, "one.yaml", "name: one\ntasks: [{id: a, run: 'true'}]\n"))
	folder := filepath.Join(t.TempDir(), "standby")
	if err := localpg.Backup(t.Context(), primary.url, folder); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "standby.signal"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p := &program{url: startServer(t, localpg.Config{From: folder})}
	r := p.run(t, "doctor", "-o", "json")
	if f := check(t, r, "role"); r.code != 1 || f.State != "bad" || f.Found != "the server is a standby" ||
		*f.Advice != "name the primary, or all hosts with target_session_attrs=read-write" {
		t.Errorf("exit code %d: %+v", r.code, f)
	}
	contains(t, p.ok(t, "show", id), "one Queued")
	contains(t, p.ok(t, "verify"), "no breach")
	p.fails(t, 4, []string{"the server is a standby", "name that one"}, "events", "--follow")
	const hint = "the server is read-only, as a standby is: name the primary with --database-url, or give all hosts " +
		"and target_session_attrs=read-write"
	path := file(t, "two.yaml", "name: two\ntasks: [{id: a, run: 'true'}]\n")
	for _, line := range [][]string{{"start", path}, {"run", path}, {"cancel", id}, {"serve"}} {
		p.fails(t, 4, []string{"read-only", hint}, line...)
	}
}
