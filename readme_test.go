package main

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluiceworks/sluice/platform/db/dbtest"
)

// TestReadme checks that the README's first pipeline does what the README says.
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
		if code != 0 || !strings.Contains(stdout, "2 Completed, 1 Skipped") ||
			!strings.Contains(stderr, "flaky failed, again in ") ||
			!strings.Contains(stderr, "\ngreet | hello, you; exit 1\n") ||
			!strings.Contains(stderr, "\nflaky | not yet\n") {
			t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
		}
		id := strings.Fields(stderr)[1]
		if logs := p.ok(t, "show", id, "--logs"); !strings.Contains(logs, "stdout | hello, you; exit 1") {
			t.Error(logs)
		}
	})
}

// TestReadmeProgram checks that the README's program in Go is examples/greeter, which is built and vetted.
func TestReadmeProgram(t *testing.T) {
	t.Parallel()
	program, err := os.ReadFile("examples/greeter/main.go")
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(readme), "```go\n"+string(program)+"```\n") {
		t.Error("the README's program differs from examples/greeter/main.go")
	}
}

// TestDocs checks that lines of text have at most 120 characters, except in tables, code and generated pages, and
// that links to files lead to a file.
func TestDocs(t *testing.T) {
	t.Parallel()
	wide := regexp.MustCompile("(?ms)<!-- Written by .*|^```.*?^```|^(\\||    )[^\n]*$")
	long := regexp.MustCompile("(?m)^.{121,}$")
	link := regexp.MustCompile(`\]\(([^):#\s]+)`)
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/adr/*.md", "bench/*.md"} {
		paths, err := filepath.Glob(pattern)
		if err != nil || len(paths) == 0 {
			t.Fatal(pattern, err)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if line := long.Find(wide.ReplaceAll(text, nil)); line != nil && path != "docs/benchmarks.md" &&
				path != "docs/chaos.md" {
				t.Errorf("%s: more than 120 characters in %q", path, line)
			}
			for _, to := range link.FindAllSubmatch(text, -1) {
				if _, err := os.Stat(filepath.Join(filepath.Dir(path), string(to[1]))); err != nil {
					t.Errorf("%s links to %v", path, err)
				}
			}
		}
	}
}

// TestReadmeServer checks that the README's commands for a server, pasted together into a shell, complete what they
// start.
func TestReadmeServer(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	pasted := regexp.MustCompile("(?s)```\nexport SLUICE_DATABASE_URL=\\S+\n(.*?)```").FindSubmatch(readme)
	if pasted == nil {
		t.Fatal("the README has no commands for a server")
	}
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	p := program{path, dbtest.EmptyPostgresURL(t)}
	shell := p.paste(t, string(pasted[1]))
	dbtest.Eventually(t, "all runs complete", func() bool {
		if shell.ended() {
			t.Fatalf("the shell ended:\n%s", shell.output)
		}
		code, list, _ := p.run(t, "list", "--limit", "1000")
		return code == 0 && strings.Count(list, "first") == 20 && strings.Count(list, "Completed") == 20
	})
	if code := shell.finish(t); code != 0 {
		t.Errorf("the workers ended with exit code %d\n%s", code, shell.output)
	}
	if out := p.ok(t, "verify"); !strings.Contains(out, "20 pipeline executions") ||
		!strings.Contains(out, ": no breach") {
		t.Error(out)
	}
}

// pasted is a shell that runs commands. The last background command is the workers.
type pasted struct {
	stdin  io.Closer
	output *watched
	done   chan struct{}
	cmd    *exec.Cmd
}

// paste runs commands unchanged in a directory that looks like the checkout after a build. When standard input ends,
// the shell stops the workers and ends with their exit code.
func (p program) paste(t *testing.T, commands string) *pasted {
	t.Helper()
	dir := t.TempDir()
	examples, err := filepath.Abs("examples")
	if err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{"bin/sluice": p.path, "examples": examples} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(filepath.Join(dir, link)), 0o755),
			os.Symlink(to, filepath.Join(dir, link))); err != nil {
			t.Fatal(err)
		}
	}
	s := &pasted{output: &watched{}, done: make(chan struct{}), cmd: p.command()}
	s.cmd.Path, s.cmd.Args, s.cmd.Dir = "/bin/sh",
		[]string{"sh", "-c", "set -e\n" + commands + "\nread _ || kill -TERM $!\nwait $!"}, dir
	s.cmd.Stdout, s.cmd.Stderr = s.output, s.output
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if s.stdin, err = s.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(s.done)
		_ = s.cmd.Wait() // how it ended is read from its state
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL) // all have ended already unless the test failed
		<-s.done
	})
	return s
}

func (s *pasted) ended() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

// finish makes the shell stop the workers, and returns their exit code.
func (s *pasted) finish(t *testing.T) int {
	t.Helper()
	if err := s.stdin.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.done:
		return s.cmd.ProcessState.ExitCode()
	case <-time.After(time.Minute):
		t.Fatalf("the workers do not end:\n%s", s.output)
		return 0
	}
}
