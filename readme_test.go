package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// TestReadme: the README's first pipeline does what the README says, and so do its commands for a server.
func TestReadme(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```yaml\n(name: hello\n.*?)```").FindSubmatch(readme)
	if block == nil {
		t.Fatal("the README has no pipeline hello")
	}
	each(t, func(t *testing.T, p program) {
		path := filepath.Join(t.TempDir(), "hello.yaml")
		if err := os.WriteFile(path, block[1], 0o600); err != nil {
			t.Fatal(err)
		}
		code, stdout, stderr := p.run(t, "run", path, "--set", "who=you; exit 1")
		if code != 0 || !strings.Contains(stdout, "2 Completed, 1 Skipped") || !strings.Contains(stderr, "flaky failed, again in ") {
			t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
		}
		id := strings.Fields(stderr)[1]
		if logs := p.ok(t, "show", id, "--logs"); !strings.Contains(logs, "stdout | hello, you; exit 1") {
			t.Error(logs)
		}
		p.ok(t, "migrate")
		serve := p.begin(t, "serve", "--pipelines", "examples")
		eventually(t, "serving", func() bool { return strings.Contains(serve.stderr.String(), "serving") })
		for _, id := range strings.Fields(p.ok(t, "start", "first", "--count", "2", "--set", "dir=examples")) {
			p.completes(t, id)
		}
		serve.signal(syscall.SIGTERM)
		if code := serve.wait(t); code != 0 {
			t.Errorf("serve: exit code %d\n%s", code, serve.stderr)
		}
	})
}
