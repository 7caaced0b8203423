package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluiceworks/sluice/platform/db/dbtest"
)

// runDirs lists the directories of runs in a base directory, for all databases.
func runDirs(t *testing.T, base string) (found []string) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(base, "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestRunDirectory checks that the tasks of a run share a directory that no other run has, that it is created only
// for runs that use it, and that it is removed with the run.
func TestRunDirectory(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_,
			_ = w.Write([]byte(r.URL.Query().Get("n")))
	}))
	t.Cleanup(server.Close)
	each(t, func(t *testing.T, p program) {
		dir := t.TempDir()
		base, path, plain := filepath.Join(dir, "runs"), filepath.Join(dir, "files.yaml"),
			filepath.Join(dir, "plain.yaml")
		for path, text := range map[string]string{path: `
name: files
input: {n: {type: string, required: true}}
tasks:
  - {id: fetch, uses: http, with: {url: "` + server.URL + `?n=${{ input.n }}", save_as: data/body.txt}}
  - {id: write, needs: [fetch], run: 'cat data/body.txt > copy; pwd > where', working_directory: $SLUICE_RUN_DIR}
  - id: read
    needs: [fetch, write]
    run: >-
      printf "\"%s %s\"" "$(cat "$SLUICE_RUN_DIR/copy")" "$(cat "${{ needs.fetch.path }}")" > "$SLUICE_OUTPUT"
  - id: told
    needs: [write]
    env: {AT: $SLUICE_RUN_DIR}
    run: 'printf "\"%s\"" "$(cat "$SLUICE_RUN_DIR/where")" > "$SLUICE_OUTPUT"'
`, plain: `
name: plain
tasks:
  - {id: a, run: 'env | grep -q "^SLUICE_RUN" && printf "%s" 1 > "$SLUICE_OUTPUT"'}
`} {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		serve := p.begin(t, "serve", "--run-dirs", base)
		p.completes(t, strings.TrimSpace(p.ok(t, "start", plain)))
		if found := runDirs(t, base); len(found) != 0 {
			t.Errorf("made for a run that does not use it: %v", found)
		}
		ids := []string{
			strings.TrimSpace(p.ok(t, "start", path, "--set", "n=1")),
			strings.TrimSpace(p.ok(t, "start", path, "--set", "n=2")),
		}
		for i, id := range ids {
			p.completes(t, id)
			want := `"` + []string{"1 1", "2 2"}[i] + `"`
			if diff := cmp.Diff(want, p.output(t, id, "read")); diff != "" {
				t.Error(diff)
			}
			if where := strings.Trim(p.output(t, id, "told"), `"`); filepath.Base(where) != id ||
				!strings.HasPrefix(where, base) {
				t.Errorf("the directory of %s is %s", id, where)
			}
		}
		serve.signal(syscall.SIGTERM)
		serve.wait(t)
		if found := runDirs(t, base); len(found) != 2 {
			t.Errorf("found %v", found)
		}
		if out := p.ok(t, "cleanup", "--run-dirs", base); !strings.Contains(out, "nothing is old enough") {
			t.Error(out)
		}
		out := p.ok(t, "cleanup", "--run-dirs", base, "--retain-executions", "1ms")
		if !strings.Contains(out, "removed the directories of 2 runs on this machine") || len(runDirs(t, base)) != 0 {
			t.Errorf("%s\n%v", out, runDirs(t, base))
		}
	})
}

// TestRunDirectoryAfterRetention checks that a worker removes the directories on its own disk when outputs have been
// removed, whoever removed them.
func TestRunDirectoryAfterRetention(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p program) {
		dir := t.TempDir()
		base, path := filepath.Join(dir, "runs"), filepath.Join(dir, "one.yaml")
		text := "name: one\ntasks:\n  - {id: a, run: 'touch $SLUICE_RUN_DIR/x'}\n"
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		p.ok(t, "run", path, "--run-dirs", base)
		if found := runDirs(t, base); len(found) != 1 {
			t.Fatalf("found %v", found)
		}
		p.ok(t, "cleanup", "--run-dirs", filepath.Join(dir, "of-another-machine"), "--retain-outputs", "1ms")
		if found := runDirs(t, base); len(found) != 1 {
			t.Fatalf("found %v", found)
		}
		serve := p.begin(t, "serve", "--run-dirs", base)
		dbtest.Eventually(t, "the directory is removed", func() bool { return len(runDirs(t, base)) == 0 })
		serve.signal(syscall.SIGTERM)
		serve.wait(t)
	})
}
