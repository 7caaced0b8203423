package app_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sluiceworks/sluice/platform/db/dbtest"
)

// TestEveryMistakeOfAWith checks that validate reports each mistake in a task's settings, not only the first, each
// with its place.
func TestEveryMistakeOfAWith(t *testing.T) {
	t.Parallel()
	p := &program{url: "sqlite://" + filepath.Join(t.TempDir(), "none.db")}
	path := file(t, "with.yaml", `name: mistakes
tasks:
  - id: ask
    uses: http
    with:
      urll: x
      zzz: 1
      method: "a b"
      timeout: soon
      expect_status: [99]
      max_bytes: many
  - {id: look, uses: wait, with: {fil: x, every: 1ms, timeout: soon}}
  - {id: nap, uses: sleep, with: {duration: 1h, until: now, extra: 1}}
`)
	r := p.run(t, "validate", path)
	want := []string{
		`:6:13: with.urll: unknown key (did you mean "url"?)`, `:7:12: with.zzz: unknown key (known keys: `,
		`:8:15: with.method: "a b" may not hold`,
		`:9:16: with.timeout: invalid duration "soon"`, `:10:22: with.expect_status: 99 is not a status`,
		`:11:18: with.max_bytes: is a string, expected a whole number`,
		`with.fil: unknown key (did you mean "file"?)`, `with.every: is shorter than`, `with.timeout: `,
		`with.extra: unknown key`, `with.until: is "now"`,
		`with: expected one of duration and until`,
	}
	contains(t, r.stdout+r.stderr, want...)
	if n := strings.Count(r.stdout+r.stderr, path+":"); n != len(want) || r.code != 2 {
		t.Errorf("%d mistakes, expected %d; exit code %d\n%s%s", n, len(want), r.code, r.stdout, r.stderr)
	}
}

// TestFilesOfWindows checks that byte order marks and line ends of two characters change nothing, in any file.
func TestFilesOfWindows(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		windows := func(name,
			text string,
		) string {
			return file(t, name, "\ufeff"+strings.ReplaceAll(text, "\n", "\r\n"))
		}
		env := windows("task.env", "A=1\nB=\"two words\"\n# remark\n")
		pipeline := windows("p.yaml", `name: windows
input: {a: {type: any}}
tasks:
  - id: a
    env_file: "`+env+`"
    run: |
      printf '[%s]' "$A" "$B" ${{ input.a }}
      printf '[end]'
`)
		config := windows("config.yaml", "log-level: error\nlimit: 1\n")
		p.ok(t, "run", pipeline, "--input", "@"+windows("input.json", "{\n \"a\": 1.50\n}\n"))
		if got := p.ok(t, "logs", "latest"); got != "[1][two words][1.50][end]\n" {
			t.Errorf("%q", got)
		}
		p.ok(t, "start", pipeline)
		if r := p.run(t, "list", "--config", config); strings.Count(r.stdout, "windows") != 1 {
			t.Errorf("the setting limit was not read:\n%s", r.stdout)
		}
	})
}

// TestConfigFilesThatCannotBe checks that invalid configuration files are refused with the place of the mistake.
func TestConfigFilesThatCannotBe(t *testing.T) {
	t.Parallel()
	p := &program{url: "sqlite://" + filepath.Join(t.TempDir(), "none.db")}
	for text, words := range map[string]string{
		"\xff\xfel\x00":                    "this is not valid UTF-8",
		"limit: 1\n---\nlimit: 2\n":        ":2:1: a second document begins here",
		"limit: !!str 1\n":                 ":1:8: limit: tags (!!str) are not supported",
		"limit: [1]\n":                     ":1:8: limit: expected one value",
		"bogus: 1\n":                       `:1:1: unknown setting "bogus"` + "\n  the settings are the flags",
		"databse-url: x\n":                 `did you mean "database-url"?`,
		"- limit\n":                        ":1:1: expected settings as `key: value`",
		strings.Repeat("#", 1<<20) + "\n#": "it is larger than the limit of 1048576 bytes",
	} {
		p.fails(t, 2, []string{words}, "list", "--config", file(t, "config.yaml", text))
	}
	aliased := file(t, "config.yaml", "log-level: &level nothing\ntenant: *level\n")
	p.fails(t, 2, []string{":1:12: log-level: "}, "list", "--config", aliased)
}

// TestPipeWithoutWriter checks that an interrupt ends the wait for a pipe's writer.
func TestPipeWithoutWriter(t *testing.T) {
	t.Parallel()
	p := &program{url: "sqlite://" + filepath.Join(t.TempDir(), "none.db")}
	pipe := filepath.Join(t.TempDir(), "pipe.yaml")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	begun := p.begin(t, "validate", pipe)
	var w *os.File
	dbtest.Eventually(t, "the pipe is opened", func() (ok bool) {
		var err error
		w, err = os.OpenFile(pipe, os.O_WRONLY|syscall.O_NONBLOCK, 0) // it fails while there is no reader
		return err == nil
	})
	if r := begun.stop(t); r.code != 130 {
		t.Errorf("exit code %d\n%s", r.code, r.stderr)
	}
	// This lets the abandoned reader end.
	if err := w.Close(); err != nil {
		t.Error(err)
	}
}

// TestDownloadsReplaceNoDatabase checks that save_as overwrites no file that the program itself needs, whoever runs
// the task.
func TestDownloadsReplaceNoDatabase(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		config := file(t, "config.yaml", "log-level: warn\n")
		targets := map[string]string{"config": config}
		if path, ok := strings.CutPrefix(p.url, "sqlite://"); ok {
			for _, suffix := range []string{"", "-wal", "-shm", "-journal", ".lock"} {
				targets["db"+strings.TrimLeft(suffix, ".-")] = path + suffix
			}
			targets["tenant"] = strings.TrimSuffix(path, filepath.Ext(path)) + ".acme" + filepath.Ext(path)
		}
		text := "name: guarded\ntasks:\n"
		for id, path := range targets {
			text += "  - {id: " + id + ", uses: http, with: {url: 'http://127.0.0.1:1/', save_as: '" + path + "'}}\n"
		}
		pipeline := file(t, "guarded.yaml", text)
		ended := func(doc document) {
			t.Helper()
			for _, task := range doc.Tasks {
				if task.Status != "Failed" || task.Error == nil ||
					!strings.Contains(*task.Error, "is a file of sluice itself") {
					t.Errorf("%s is %s: %v", task.TaskName, task.Status, task.Error)
				}
			}
		}
		ended(decode[document](t, p.run(t, "run", pipeline, "-o", "json", "--config", config).stdout))
		id := p.start(t, pipeline)
		serve := p.begin(t, "serve", "--config", config)
		dbtest.Eventually(t, "the run ends", func() bool { return p.show(t, id).Execution.OpenTasks == 0 })
		serve.stop(t)
		ended(p.show(t, id))
	})
}
