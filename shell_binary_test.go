package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestTaskEnvironment checks that a command of serve gets what is declared, that one of run gets its caller's
// environment, and that neither gets sluice's own settings.
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
    run: env | cut -d= -f1 | sort | grep -v '^SLUICE_[IOPTAR]' | tr '\n' ' ' | sed 's/.*/"&"/' > "$SLUICE_OUTPUT"
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
		if diff := cmp.Diff(`"AWS_KEY FROM_FILE HOME LC_TIME OWN PASSED_A PATH PWD "`,
			p.output(t, id, "print")); diff != "" {
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

// output returns a task's output as JSON text.
func (p program) output(t *testing.T, id, task string) string {
	t.Helper()
	var doc struct {
		Tasks []struct {
			TaskName string          `json:"id"`
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

// TestExitCodes checks that a task's settings for exit codes decide its outcome, and that every answer has the code.
func TestExitCodes(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p program) {
		path := filepath.Join(t.TempDir(), "codes.yaml")
		text := `
name: codes
defaults:
  retry: {max_attempts: 3, backoff: fixed, delay: 1ms, jitter: 0}
  permanent_exit_codes: [2, 64-78]
  skip_exit_codes: [99]
tasks:
  - {id: permanent, run: exit 70}
  - {id: retried, run: exit 3}
  - {id: skipped, run: 'if [ "$SLUICE_ATTEMPT" = 1 ]; then exit 1; fi; exit 99'}
  - {id: killed, retry: {max_attempts: 1}, run: kill -9 $$}
  - {id: done, run: "true"}
  - {id: after, needs: [skipped], run: "true"}
  - {id: anyway, needs: [skipped, done], trigger_rule: none_failed, run: "true"}
`
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		run := p.begin(t, "run", path)
		if code := run.wait(t); code != 1 || !strings.Contains(run.stderr.String(), "skipped skipped") ||
			!strings.Contains(run.stderr.String(), "exit code 99") {
			t.Errorf("exit code %d\n%s", code, run.stderr)
		}
		id := strings.Fields(run.stderr.String())[1]
		_, status := p.status(t, id)
		want := map[string]string{
			"permanent": "Failed", "retried": "Failed", "skipped": "Skipped", "killed": "Failed", "done": "Completed",
			"after": "Skipped", "anyway": "Completed",
		}
		if diff := cmp.Diff(want, status); diff != "" {
			t.Error(diff)
		}
		got := p.exitCodes(t, id)
		if diff := cmp.Diff(map[string]string{
			"permanent": "Failed 70", "retried": "Failed 3, Failed 3, Failed 3", "skipped": "Failed 1, Skipped 99",
			"killed": "Failed -",
			"done":   "Completed 0", "anyway": "Completed 0",
		}, got); diff != "" {
			t.Error(diff)
		}
	})
}

// exitCodes returns the attempts of each task, with how they ended and their command's exit code.
func (p program) exitCodes(t *testing.T, id string) map[string]string {
	t.Helper()
	var doc struct {
		Attempts []struct {
			TaskName string `json:"id"`
			Status   string `json:"status"`
			ExitCode *int   `json:"exit_code"`
		} `json:"attempts"`
	}
	if err := json.Unmarshal([]byte(p.ok(t, "show", id, "-o", "json")), &doc); err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, a := range doc.Attempts {
		code := "-"
		if a.ExitCode != nil {
			code = strconv.Itoa(*a.ExitCode)
		}
		text := a.Status + " " + code
		if out[a.TaskName] != "" {
			text = out[a.TaskName] + ", " + text
		}
		out[a.TaskName] = text
	}
	return out
}
