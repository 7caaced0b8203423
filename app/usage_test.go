package app_test

import (
	"context"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/fx"

	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
)

const nobody = "0197c2a4-7b1e-7000-8000-0123456789ab"

func TestUsage(t *testing.T) {
	t.Parallel()
	p := &program{url: dbtest.SQLiteURL(t)}
	for _, c := range []struct{ args, words []string }{
		{[]string{"shwo"}, []string{`unknown command "shwo"`, `did you mean "show"?`}},
		{[]string{"frobnicate"}, []string{"`sluice help` lists the commands"}},
		{[]string{"run"}, []string{"sluice run needs a file or the name of a pipeline", "`sluice run --help`"}},
		{[]string{"show", nobody, nobody}, []string{"unexpected argument", "usage: sluice show ID"}},
		{[]string{"list", "extra"}, []string{"unexpected argument"}},
		{[]string{"list", "--limt", "3"}, []string{"unknown flag: --limt", `did you mean "--limit"?`}},
		{[]string{"list", "--status", "compelted"}, []string{`did you mean "Completed"?`}},
		{[]string{"list", "--limit", "-1"}, []string{"expected a whole number from 1"}},
		{[]string{"list", "-o", "xml"}, []string{"expected one of table, json"}},
		{[]string{"show", "17"}, []string{`invalid id "17"`, "`sluice list` shows the ids"}},
		{[]string{"pause", "x"}, []string{"invalid id"}},
		{[]string{"events", "--cursor", "x"}, []string{"a cursor of --follow goes with --follow"}},
		{
			[]string{"events", "--follow", "--cursor", "x"},
			[]string{"--cursor: not a cursor: it is damaged or cut short", "the field cursor of a line"},
		},
		{[]string{"verify", "x"}, []string{"invalid id"}},
		{[]string{"serve", "--lease", "1ms"}, []string{"expected at least 100ms"}},
		{[]string{"serve", "--drain", "soon"}, []string{"expected a duration such as"}},
		{[]string{"serve", "--pipelines", "/nowhere"}, []string{"/nowhere: no such file or directory"}},
		{[]string{"migrate", "down"}, []string{`unknown command "migrate down"`, "`sluice migrate` takes "}},
		{[]string{"migrate", "sideways"}, []string{"`sluice migrate` takes status, up"}},
		{[]string{"migrate", "statsu"}, []string{`did you mean "status"?`}},
		{[]string{"completion", "klingon"}, []string{`unknown command "completion klingon"`, "bash", "zsh"}},
		{[]string{"completion", "bash", "extra"}, []string{"unexpected argument"}},
		{[]string{"list", "--tenant", "No Name"}, []string{`invalid tenant name: "No Name"`}},
		{[]string{"run", "../examples/first.yaml", "--lease", "1ms"}, []string{"expected at least 100ms"}},
		{[]string{"run", "testdata"}, []string{"testdata is a directory", "name a file in it"}},
		{[]string{"run", "../examples"}, []string{"../examples: is a directory"}},
		{[]string{"--log-level", "loud", "list"}, []string{"expected one of debug, info, warn, error"}},
		{[]string{"--database-url", "mysql://x", "list"}, []string{`unknown scheme "mysql"`}},
	} {
		p.fails(t, 2, c.words, c.args...)
	}
	for _, command := range []string{"show", "pause", "resume", "cancel", "retry", "verify"} {
		p.fails(t, 3, []string{"no such pipeline execution: " + nobody, "`sluice list`"}, command, nobody)
	}
}

func TestHelpVersionCompletion(t *testing.T) {
	t.Parallel()
	p := &program{url: dbtest.EmptySQLiteURL(t)}
	help := p.ok(t)
	contains(t, help, "Run pipelines:", "Look after the database:", "SLUICE_DATABASE_URL")
	for _, command := range []string{
		"run", "serve", "start", "validate", "list", "show", "diff", "events", "outbox", "pause", "resume", "cancel",
		"retry", "rerun", "wait", "pipelines", "logs", "annotate", "verify",
		"cleanup-events", "workers", "doctor", "migrate", "bench", "version", "completion",
	} {
		contains(t, help, "\n  "+command+" ")
		text := p.ok(t, command, "--help")
		contains(t, text, "Usage:\n  sluice "+command)
		if strings.Contains(text, "(default 0s)") || strings.Contains(text, "--remove-orphans sluice") {
			t.Errorf("%s --help:\n%s", command, text)
		}
	}
	contains(t, p.ok(t, "version"), "sluice ", "go1.")
	if got := p.ok(t, "--version"); got != p.ok(t, "version") {
		t.Errorf("--version: %q", got)
	}
	if v := decode[map[string]any](t, p.ok(t, "version", "-o", "json")); v["go"] == "" || v["platform"] == "" {
		t.Errorf("version: %v", v)
	}
	contains(t, p.ok(t, "completion", "bash"), "bash completion")
	if _, err := os.Stat(strings.TrimPrefix(p.url, "sqlite://")); !os.IsNotExist(err) {
		t.Errorf("a database was made: %v", err)
	}
}

// TestEveryCommandHasAnExample checks that each command has an example that begins with the command, and prints its
// own help.
func TestEveryCommandHasAnExample(t *testing.T) {
	t.Parallel()
	p := &program{url: dbtest.EmptySQLiteURL(t)}
	var walk func(path []string)
	walk = func(path []string) {
		help := p.ok(t, append(path, "--help")...)
		line := strings.Join(append([]string{"sluice"}, path...), " ")
		contains(t, help, "Usage:\n  "+line)
		_, examples, found := strings.Cut(help, "Examples:\n")
		if !found || !strings.Contains(strings.SplitN(examples, "\n\n", 2)[0], line) {
			t.Errorf("%s --help has no example of it:\n%s", line, help)
		}
		for _, list := range commandLists.FindAllStringSubmatch(help, -1) {
			for command := range strings.Lines(list[1]) {
				if name := strings.Fields(command)[0]; name != "help" && name != "completion" {
					walk(append(slices.Clone(path), name))
				}
			}
		}
	}
	walk(nil)
	contains(t, p.ok(t, "--help"), "Exit codes:", "  0  done", "124  the time of wait --timeout is over")
}

// commandLists matches the lists of commands in a help text: a heading, and lines of at least two words that are
// indented by two.
var commandLists = regexp.MustCompile(
	`(?m)^(?:Run pipelines|Look|Look after the database|Available Commands|Additional Commands):\n` +
		`((?:  [a-z-]+ +\S.*\n)+)`)

// TestValidate checks that every mistake in examples/mistakes/invalid.yaml is reported, and none in the other files.
// It needs no database.
func TestValidate(t *testing.T) {
	t.Parallel()
	p := &program{url: "postgres://nobody@127.0.0.1:1/none"}
	r := p.run(t, "validate", "../examples/mistakes/invalid.yaml")
	want, err := os.ReadFile("testdata/invalid.golden")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), r.stderr); diff != "" || r.code != 2 || r.stdout != "" {
		t.Errorf("exit code %d, stdout %q, stderr %s", r.code, r.stdout, diff)
	}
	both := p.run(t, "validate", "../examples/first.yaml", "../examples/mistakes/invalid.yaml", "/nowhere.yaml",
		"../examples/failing.yaml")
	if both.code != 2 || both.stderr != r.stderr+"sluice: /nowhere.yaml: no such file or directory\n" {
		t.Errorf("exit code %d, stderr:\n%s", both.code, both.stderr)
	}
	type validated struct {
		File         string
		OK           bool
		PipelineName string `json:"pipeline"`
		TaskCount    int    `json:"task_count"`
		Problems     []struct {
			File, Message, Hint string
			Line, Column        int
		}
	}
	data := p.run(t, "validate", "-o", "json", "../examples/first.yaml", "../examples/mistakes/invalid.yaml",
		"/nowhere.yaml")
	list := decode[listing[validated]](t, data.stdout).Items
	if data.code != 2 || data.stderr != "" || len(list) != 3 {
		t.Fatalf("as JSON: %+v", data)
	}
	if ok := list[0]; !ok.OK || ok.PipelineName != "first" || ok.TaskCount != 7 || ok.Problems == nil ||
		len(ok.Problems) != 0 {
		t.Errorf("fine: %+v", ok)
	}
	if bad := list[1]; bad.OK || len(bad.Problems) != strings.Count(string(want), "\n") || bad.Problems[0].Line == 0 ||
		bad.Problems[0].Message == "" {
		t.Errorf("invalid: %+v", bad)
	}
	if gone := list[2]; gone.OK || len(gone.Problems) != 1 || gone.Problems[0].Line != 0 ||
		!strings.Contains(gone.Problems[0].Message, "no such file") {
		t.Errorf("missing: %+v", gone)
	}
	if both.stdout != "../examples/first.yaml: ok (7 tasks)\n../examples/failing.yaml: ok (4 tasks)\n" {
		t.Errorf("stdout:\n%s", both.stdout)
	}
}

// TestComposition checks that a wrongly composed program says why on one line, whatever the command.
func TestComposition(t *testing.T) {
	t.Parallel()
	handler := func(name string) fx.Option {
		return tasks.ProvideHandler(func() tasks.Handler {
			return tasks.NewHandler(name,
				func(ctx context.Context, _ struct{}) (struct{}, error) { return struct{}{}, ctx.Err() })
		})
	}
	pipeline := func(d *definition.Definition) fx.Option {
		return pipelines.ProvideDefinition(func() *definition.Definition { return d })
	}
	fine := func() *definition.Definition {
		return &definition.Definition{Name: "p", Tasks: []definition.Task{{ID: "a", Run: "true"}}}
	}
	for name, c := range map[string]struct {
		extensions []fx.Option
		words      []string
	}{
		"two handlers of one name": {
			[]fx.Option{handler("twin"), handler("twin")},
			[]string{`two handlers are named "twin"`},
		},
		"one like a built-in": {[]fx.Option{handler("shell")}, []string{`two handlers are named "shell"`}},
		"a bad name":          {[]fx.Option{handler("No Name")}, []string{`"No Name"`}},
		"two pipelines": {
			[]fx.Option{pipeline(fine()), pipeline(fine())},
			[]string{`two definitions are named "p"`},
		},
		"no pipeline": {[]fx.Option{pipeline(nil)}, []string{"a definition is nil"}},
		"a missing dependency": {[]fx.Option{
			tasks.ProvideHandler(func(*strings.Reader) tasks.Handler { return nil }),
		}, []string{"strings.Reader"}},
		"a panic": {
			[]fx.Option{tasks.ProvideHandler(func() tasks.Handler { panic("out of order") })},
			[]string{"out of order"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := &program{url: dbtest.SQLiteURL(t), extensions: c.extensions}
			p.fails(t, 2, c.words, "run", "../examples/first.yaml")
			if r := p.run(t, "run", "../examples/first.yaml"); strings.Count(r.stderr, "\n") != 1 {
				t.Errorf("not one line:\n%s", r.stderr)
			}
		})
	}
	t.Run("a mistake in a definition", func(t *testing.T) {
		t.Parallel()
		bad := fine()
		bad.Tasks[0].Needs = []string{"b"}
		p := &program{url: dbtest.SQLiteURL(t), extensions: []fx.Option{pipeline(bad)}}
		p.fails(t, 2, []string{`"p"`, "tasks[0].needs", "unknown task"}, "serve")
	})
}

// TestDebugLog checks that the most detailed log does not affect standard output, and describes runs and not the
// composition.
func TestDebugLog(t *testing.T) {
	t.Parallel()
	p := &program{url: dbtest.SQLiteURL(t)}
	r := p.run(t, "--log-level", "debug", "list", "-o", "json")
	if got := decode[listing[execution]](t, r.stdout).Items; r.code != 0 || len(got) != 0 {
		t.Errorf("%+v", r)
	}
	if strings.Contains(r.stderr, "fx") {
		t.Errorf("how the program is composed is of no use to its users:\n%s", r.stderr)
	}
}
