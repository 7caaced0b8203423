package app_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluiceworks/sluice/platform/db/dbtest"
)

// pipelineText returns a pipeline with one task that prints a text.
func pipelineText(name, text string) string {
	return fmt.Sprintf("name: %s\ntasks: [{id: a, run: \"echo %s\"}]\n", name, text)
}

func write(t *testing.T, text string, path ...string) string {
	t.Helper()
	file := filepath.Join(path...)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// awaitLog waits until a server has logged each of the words.
func awaitLog(t *testing.T, serve *running, words ...string) {
	t.Helper()
	for _, w := range words {
		dbtest.Eventually(t, "the log has "+w, func() bool { return strings.Contains(serve.stderr.String(), w) })
	}
}

// TestServeFolder checks that files that are not pipelines, have mistakes, or are not regular files are logged and do
// not affect the others.
func TestServeFolder(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		dir := t.TempDir()
		write(t, pipelineText("one", "1"), dir, "a.yaml")
		write(t, pipelineText("one", "2"), dir, "b.yaml")
		write(t, pipelineText("deep", "3"), dir, "below", "more", "c.yml")
		write(t, "name: two\ntasks: []\n", dir, "empty.yaml")
		write(t, "name: three\ntasks: [{id: a, uses: shel}]\n", dir, "unknown.yml")
		write(t, "name: four\ntasks:\n\t- id: a\n", dir, "broken.yaml")
		write(t, "services: {web: {image: x}}\n", dir, "compose.yaml")
		write(t, strings.Repeat("#", 1<<20)+"\n"+pipelineText("huge", "4"), dir, "huge.yaml")
		if err := syscall.Mkfifo(filepath.Join(dir, "fifo.yaml"), 0o600); err != nil {
			t.Fatal(err)
		}
		for link, target := range map[string]string{
			"device.yaml": "/dev/zero", "folder.yaml": dir,
			"gone.yaml": filepath.Join(dir, "nothing"),
		} {
			if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
				t.Fatal(err)
			}
		}
		socket, err := net.Listen("unix", filepath.Join(dir, "socket.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = socket.Close() })
		serve := p.begin(t, "serve", "--pipelines", dir)
		awaitLog(t, serve, `"msg":"serving"`)
		log := serve.stderr.String()
		contains(t, log, `"pipelines":2`,
			`b.yaml:1:1: the pipeline \"one\" is defined in `, "empty.yaml:2:8: the pipeline has no tasks",
			`unknown.yml:2:23: unknown handler \"shel\"`,
			"broken.yaml:3:1: this is not YAML", `"reason":"it is not a pipeline: it has no key \"name\""`,
			"more than the limit of 1048576",
			"it is not a regular file (p", "it is not a regular file (D", "it is not a regular file (S",
			"it is a link to a directory", "no such file or directory")
		for _, name := range []string{"one", "deep"} {
			id := p.start(t, name)
			dbtest.Eventually(t, "the run completes",
				func() bool { return p.show(t, id).Execution.Status == "Completed" })
		}
		if r := serve.stop(t); r.code != 0 {
			t.Errorf("exit code %d\n%s", r.code, r.stderr)
		}
		p.fails(t, 2, []string{"no such file"}, "serve", "--pipelines", filepath.Join(dir, "nothing"))
	})
}

// TestServeFollowsFolder checks that changes are registered while serving, and that a bad edit and a removed file
// leave the registered version.
func TestServeFollowsFolder(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		dir := t.TempDir()
		path := write(t, pipelineText("live", "first"), dir, "live.yaml")
		serve := p.begin(t, "serve", "--pipelines", dir)
		awaitLog(t, serve, `"msg":"definition registered"`, `"msg":"serving"`)
		says := func(name, want string) {
			t.Helper()
			id := p.start(t, name)
			dbtest.Eventually(t, "the run completes",
				func() bool { return p.show(t, id).Execution.Status == "Completed" })
			if got := strings.TrimSpace(p.show(t, id).Attempts[0].Stdout); got != want {
				t.Errorf("%s said %q, want %q", name, got, want)
			}
		}
		says("live", "first")
		write(t, pipelineText("live", "second"), path)
		write(t, pipelineText("late", "here"), dir, "new", "late.yaml")
		awaitLog(t, serve, `"msg":"definition changed"`, `"pipeline":"late"`)
		says("live", "second")
		says("late", "here")
		write(t, "name: live\ntasks: [{id: a, runs: x}]\n", path)
		awaitLog(t, serve, "keeping its last good version")
		says("live", "second")
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		awaitLog(t, serve, "its pipeline stays registered")
		says("live", "second")
		if n := strings.Count(serve.stderr.String(), "keeping its last good version"); n != 1 {
			t.Errorf("the bad edit was logged %d times", n)
		}
		serve.stop(t)
	})
}

// TestServeKeepsNewerDefinition checks that a restarted server with an older file keeps the newer version, and that
// one whose file was written since restores the older text.
func TestServeKeepsNewerDefinition(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		older, newer := t.TempDir(), t.TempDir()
		path := write(t, pipelineText("child", "v1"), older, "child.yaml")
		write(t, pipelineText("child", "v2"), newer, "child.yaml")
		serve := func(dir string, words ...string) {
			t.Helper()
			s := p.begin(t, "serve", "--pipelines", dir)
			awaitLog(t, s, `"msg":"serving"`)
			contains(t, s.stderr.String(), words...)
			s.stop(t)
		}
		said := func(want string) {
			t.Helper()
			p.ok(t, "run", "child")
			contains(t, p.ok(t, "logs", "latest"), want)
		}
		serve(older, `"msg":"definition registered"`)
		serve(newer, `"msg":"definition changed"`, `"from":"`, `"to":"`)
		serve(older, "definition of child: this folder has an older version (", "); keeping the newer one (")
		said("v2")
		later := time.Now().Add(time.Hour)
		if err := os.Chtimes(path, later, later); err != nil {
			t.Fatal(err)
		}
		serve(older, `"msg":"definition changed"`)
		said("v1")
	})
}
