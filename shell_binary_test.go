package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestTaskEnvironment: a command of serve gets what is declared, one of run what its caller has, and neither sluice's own settings.
func TestTaskEnvironment(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p program) {
		dir := t.TempDir()
		path := filepath.Join(dir, "env.yaml")
		text := `
name: env
defaults: {env_file: "` + dir + `/${{ input.file }}.env"}
input: {file: {type: string, default: declared}}
tasks:
  - id: print
    env: {OWN: "1"}
    run: env | cut -d= -f1 | sort | grep -v '^SLUICE_[IOPTA]' | tr '\n' ' ' | sed 's/.*/"&"/' > "$SLUICE_OUTPUT"
`
		for name, content := range map[string]string{path: text, filepath.Join(dir, "declared.env"): "FROM_FILE=x\n"} {
			if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		surrounding := []string{"AWS_KEY=secret", "PGPASSWORD=secret", "SLUICE_LIMIT=7", "LC_TIME=C", "PASSED_A=1"}
		id := strings.TrimSpace(p.ok(t, "start", path))
		serve := p.beginIn(t, surrounding, "serve", "--pass-env", "PASSED_*")
		p.completes(t, id)
		serve.signal(syscall.SIGTERM)
		serve.wait(t)
		if diff := cmp.Diff(`"FROM_FILE HOME LC_TIME OWN PASSED_A PATH PWD "`, p.output(t, id, "print")); diff != "" {
			t.Error(diff)
		}
		run := p.beginIn(t, surrounding, "run", path)
		if code := run.wait(t); code != 0 {
			t.Fatalf("exit code %d\n%s", code, run.stderr)
		}
		id = strings.Fields(run.stderr.String())[1]
		if diff := cmp.Diff(`"AWS_KEY FROM_FILE HOME LC_TIME OWN PASSED_A PATH PWD "`, p.output(t, id, "print")); diff != "" {
			t.Error(diff)
		}
		code, _, stderr := p.run(t, "run", path, "--set", "file=none")
		if code != 1 || !strings.Contains(stderr, "env_file: open "+dir+"/none.env: no such file or directory") {
			t.Errorf("exit code %d\n%s", code, stderr)
		}
		code, _, stderr = p.run(t, "serve", "--pass-env", "SLUICE_DATABASE_URL")
		if code != 2 || !strings.Contains(stderr, "sluice's own settings are not passed on") {
			t.Errorf("exit code %d\n%s", code, stderr)
		}
	})
}

// output is what a task left, as JSON text.
func (p program) output(t *testing.T, id, task string) string {
	t.Helper()
	var doc struct {
		Tasks []struct {
			TaskName string          `json:"task_name"`
			Output   json.RawMessage `json:"output"`
		} `json:"tasks"`
	}
	if err := json.Unmarshal([]byte(p.ok(t, "show", id, "-o", "json")), &doc); err != nil {
		t.Fatal(err)
	}
	for _, found := range doc.Tasks {
		if found.TaskName == task {
			return string(found.Output)
		}
	}
	t.Fatalf("no task %s", task)
	return ""
}
