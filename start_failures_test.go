package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/sluiceworks/sluice/platform/db/dbtest"
)

// TestBrokenWorkerLeavesTheQueue checks that a failure of a worker's machine uses up no attempt, shows in /readyz,
// and leaves the tasks to other workers.
func TestBrokenWorkerLeavesTheQueue(t *testing.T) {
	t.Parallel()
	for reason, broken := range map[string]string{
		"no such file or directory": "TMPDIR=/nonexistent",
		"executable file not found": "PATH=/nonexistent",
	} {
		t.Run(broken, func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, p program) {
				path := filepath.Join(t.TempDir(), "one.yaml")
				if err := os.WriteFile(path, []byte("name: one\ntasks:\n  - {id: a, run: echo done}\n"),
					0o600); err != nil {
					t.Fatal(err)
				}
				ids := strings.Fields(p.ok(t, "start", path, "--count", "20"))
				bad := p.beginIn(t, []string{broken}, "serve", "--listen", "127.0.0.1:0")
				dbtest.Eventually(t, "it says that it is not ready", func() bool {
					return strings.Contains(readiness(bad), "cannot start tasks of handler shell: "+reason)
				})
				if s, tasks := p.status(t, ids[0]); s != "Running" || tasks["a"] == "Failed" {
					t.Errorf("%s, %v", s, tasks)
				}
				good := p.begin(t, "serve")
				for _, id := range ids {
					p.completes(t, id)
					if attempts := p.exitCodes(t, id)["a"]; !regexp.MustCompile(`^(Released -, )*Completed 0$`).
						MatchString(attempts) {
						t.Errorf("attempts of %s: %s", id, attempts)
					}
				}
				if n := strings.Count(bad.stderr.String(), "cannot start tasks"); n < 1 || n > 5 {
					t.Errorf("%d lines about it\n%s", n, bad.stderr)
				}
				for _, serve := range []*process{good, bad} {
					serve.signal(syscall.SIGTERM)
					if code := serve.wait(t); code != 0 {
						t.Errorf("exit code %d\n%s", code, serve.stderr)
					}
				}
			})
		})
	}
}

var listening = regexp.MustCompile(`"listen":"([^"]+)"`)

// readiness returns the answer of /readyz, once the process listens.
func readiness(serve *process) string {
	found := listening.FindStringSubmatch(serve.stderr.String())
	if found == nil {
		return ""
	}
	resp, err := http.Get("http://" + found[1] + "/readyz")
	if err != nil {
		return ""
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode == http.StatusOK {
		return ""
	}
	return string(body)
}

// TestFewFileDescriptors checks that a low limit of open files makes a run slower, and fails none of its tasks.
func TestFewFileDescriptors(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p program) {
		path, text := filepath.Join(t.TempDir(), "wide.yaml"), "name: wide\ntasks:\n"
		for i := range 120 {
			text += fmt.Sprintf("  - {id: t%d, run: sleep 0.05}\n", i)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("sh", "-c", `ulimit -n 80; exec "$0" "$@"`, p.path, "run", path, "-o", "json")
		cmd.Env = p.command().Env
		var stderr watched
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%v\n%s\n%s", err, out, &stderr)
		}
		var doc struct {
			Tasks []struct {
				Status  string `json:"status"`
				Attempt int    `json:"attempt"`
			} `json:"tasks"`
		}
		if err := json.Unmarshal(out, &doc); err != nil {
			t.Fatal(err)
		}
		completed := 0
		for _, task := range doc.Tasks {
			if task.Status == "Completed" && task.Attempt == 1 {
				completed++
			}
		}
		if completed != 120 || !strings.Contains(stderr.String(), "limit of open files") {
			t.Errorf("%d completed at their first attempt\n%s", completed, &stderr)
		}
	})
}
