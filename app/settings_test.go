package app_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluiceworks/sluice/platform/db/dbtest"
)

// TestSettingsPrecedence checks the order: flag, environment, file, default. The tests of this file do not run in
// parallel, because the environment and the working directory belong to the process.
func TestSettingsPrecedence(t *testing.T) {
	p := &program{url: dbtest.SQLiteURL(t)}
	for range 4 {
		p.start(t, "../examples/first.yaml")
	}
	lines := func(args ...string) int {
		t.Helper()
		return strings.Count(p.ok(t, append([]string{"list"}, args...)...), "first")
	}
	if n := lines(); n != 4 {
		t.Errorf("by default %d", n)
	}
	config := file(t, "settings.yaml", "limit: 3\nworkers: 2\nlease: 20s\n")
	if n := lines("--config", config); n != 3 {
		t.Errorf("by the file %d", n)
	}
	t.Setenv("SLUICE_CONFIG", config)
	if n := lines(); n != 3 {
		t.Errorf("by the file that the environment names %d", n)
	}
	t.Setenv("SLUICE_LIMIT", "2")
	if n := lines(); n != 2 {
		t.Errorf("by the environment %d", n)
	}
	if n := lines("--limit", "1"); n != 1 {
		t.Errorf("by the flag %d", n)
	}
	t.Setenv("SLUICE_LIMIT", "many")
	p.fails(t, 2, []string{`SLUICE_LIMIT: "many": expected a whole number from 1`}, "list")
}

// TestHandlerLimitSettings checks several limits in one variable, and a list or a text in the file, which the flag
// replaces.
func TestHandlerLimitSettings(t *testing.T) {
	p := &program{url: dbtest.SQLiteURL(t)}
	limits := func(args ...string) string {
		t.Helper()
		serve := p.begin(t, append([]string{"serve"}, args...)...)
		var rows []limitedRow
		dbtest.Eventually(t, "serving", func() bool {
			rows = decode[listing[limitedRow]](t, p.ok(t, "workers", "-o", "json")).Items
			return len(rows) == 1
		})
		serve.stop(t)
		return rows[0].Limits
	}
	for want, args := range map[string][]string{
		"http=256,shell=64":       nil,
		"http=256,shell=3,wait=4": {"--config", file(t, "list.yaml", "handler-limit: [shell=3, wait=4]\n")},
		"http=256,shell=5":        {"--config", file(t, "text.yaml", "handler-limit: shell=5\n")},
		"http=6,shell=7": {
			"--config", file(t, "both.yaml", "handler-limit: shell=5\n"), "--handler-limit",
			"http=6", "--handler-limit=shell=7",
		},
		"http=256": {"--handler-limit", "shell=1000"},
		"":         {"--workers", "8"},
	} {
		if got := limits(args...); got != want {
			t.Errorf("%q: %q, want %q", args, got, want)
		}
	}
	t.Setenv("SLUICE_HANDLER_LIMIT", "shell=8,sleep=9")
	if got := limits(); got != "http=256,shell=8,sleep=9" {
		t.Errorf("by the environment: %q", got)
	}
	t.Setenv("SLUICE_HANDLER_LIMIT", "shell")
	p.fails(t, 2, []string{`SLUICE_HANDLER_LIMIT: "shell": `, "such as shell=64"}, "serve")
}

// TestTaskEnvironmentIsNoSetting checks that a command within a task ignores SLUICE_INPUT and SLUICE_OUTPUT, which
// are its task's files.
func TestTaskEnvironmentIsNoSetting(t *testing.T) {
	p := &program{url: dbtest.SQLiteURL(t)}
	t.Setenv("SLUICE_INPUT", "/tmp/input.json")
	t.Setenv("SLUICE_OUTPUT", "/tmp/output.json")
	contains(t, p.ok(t, "run", "../examples/first.yaml", "--set", "dir="+t.TempDir()), "first Completed")
}

func TestDefaultConfigFile(t *testing.T) {
	pipeline, err := filepath.Abs("../examples/first.yaml")
	if err != nil {
		t.Fatal(err)
	}
	p := &program{url: dbtest.SQLiteURL(t)}
	t.Chdir(t.TempDir())
	if err := os.WriteFile("sluice.config.yaml", []byte("output: json\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	contains(t, p.ok(t, "list"), "[]")
	p.ok(t, "validate", pipeline)
	contains(t, p.ok(t, "start", pipeline), `"ids"`)
}

func TestConfigMistakes(t *testing.T) {
	t.Parallel()
	p := &program{url: dbtest.SQLiteURL(t)}
	for text, words := range map[string][]string{
		"limit: 3\nworkrs: 4\n":            {"c.yaml:2:1: unknown setting \"workrs\"", `did you mean "workers"?`},
		"limit: few\n":                     {`c.yaml:1:8: limit: "few": expected a whole number from 1`},
		"# workers of serve\nworkers: 0\n": {`c.yaml:2:10: workers: "0": expected a whole number from 1`},
		"limit: 3\nlimit: 4\n":             {`c.yaml:2:1: "limit" is set twice`},
		"limit: [1, 2]\n":                  {"c.yaml:1:8: limit: expected one value"},
		"dry-run: perhaps\n":               {`c.yaml:1:10: dry-run: "perhaps": expected true or false`},
		"config: other.yaml\n":             {`unknown setting "config"`},
		"- limit\n":                        {"c.yaml:1:1: expected settings as `key: value`"},
		"limit: {\n":                       {"c.yaml: this is not YAML"},
	} {
		p.fails(t, 2, words, "list", "--config", file(t, "c.yaml", text))
	}
	p.fails(t, 2, []string{"/nowhere.yaml: no such file or directory"}, "list", "--config", "/nowhere.yaml")
	p.ok(t, "list", "--config", file(t, "c.yaml", "# nothing set\n"))
	contains(t, p.ok(t, "start", "../examples/failing.yaml", "--config",
		file(t, "c.yaml", "set: [broken=false]\ncount: 2\n")), "\n")
}
