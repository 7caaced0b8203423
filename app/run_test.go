package app_test

import (
	"encoding/json"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/fx"

	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
)

func TestRunShowsProgressAndOutcome(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		r := p.run(t, "run", "../examples/first.yaml", "--set", "dir="+t.TempDir())
		if r.code != 0 {
			t.Fatalf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
		}
		contains(t, r.stdout, "first Completed in ", "6 Completed, 1 Skipped", "next: sluice verify ")
		order := regexp.MustCompile(`(?s)prepare started \(attempt 1\).*prepare completed.*` +
			`largest failed, again in \d+ms \(attempt 1\): exit code 75: the disk is busy, try again.*` +
			`largest started \(attempt 2\).*` +
			`largest completed \(attempt 2.*report completed.*tidy completed`)
		if !order.MatchString(r.stderr) {
			t.Errorf("progress:\n%s", r.stderr)
		}
		contains(t, r.stderr, "alert skipped: trigger rule one_failed is not met")
		if r := p.run(t, "outbox"); r.code != 0 || r.stdout != "" || !strings.Contains(r.stderr, "nothing waits") {
			t.Errorf("outbox: %+v", r)
		}
	})
}

// TestRunJSON checks that standard output has only the document, and that events name their actor.
func TestRunJSON(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		r := p.run(t, "run", "../examples/failing.yaml", "-o", "json")
		if r.code != 1 {
			t.Fatalf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
		}
		doc := decode[document](t, r.stdout)
		want := map[string]string{
			"extract": "Completed", "import": "Failed", "publish": "Skipped",
			"clean": "Completed",
		}
		if diff := cmp.Diff(want, doc.statuses()); diff != "" {
			t.Error(diff)
		}
		if doc.Execution.Status != "Failed" || doc.Execution.Error == nil {
			t.Errorf("execution: %+v", doc.Execution)
		}
		contains(t, r.stderr, "import failed, again in", "import failed (attempt 2",
			"connection refused by the warehouse")
		list := p.events(t, "--pipeline-execution", doc.Execution.ID)
		if list[0].EventType != "pipeline_started" || list[0].Actor == nil ||
			!strings.HasPrefix(*list[0].Actor, "cli:") {
			t.Errorf("first event: %+v", list[0])
		}
	})
}

func TestRunTellsOfFailure(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		r := p.run(t, "run", "../examples/failing.yaml")
		if r.code != 1 {
			t.Errorf("exit code %d", r.code)
		}
		contains(t, r.stdout, "failing Failed in ", "2 Completed, 1 Failed, 1 Skipped", "import Failed (attempt 2/2):",
			"exit code 7", "next: sluice show ")
	})
}

const typed = `
name: typed
input:
  text: {type: string, required: true}
  number: {type: integer, default: 7}
  flag: boolean
  list: array
  object: object
  free: any
tasks:
  - {id: a, run: "true"}
`

func TestInput(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		path := file(t, "typed.yaml", typed)
		given := file(t, "input.json", `{"text": "from the file", "number": 12345678901234567}`)
		p.stdin = `{"text": "from standard input"}`
		for _, c := range []struct {
			args []string
			want string
		}{
			{[]string{"--set", "text=yes"}, `{"text":"yes","number":7}`},
			{
				[]string{"--input", `{"text": "a", "flag": false}`, "--set", "text=1_000", "--set", "flag=true"},
				`{"text":"1_000","number":7,"flag":true}`,
			},
			{[]string{"--input", "@" + given}, `{"text":"from the file","number":12345678901234567}`},
			{[]string{"--input", "@-"}, `{"text":"from standard input","number":7}`},
			{
				[]string{
					"--set", "text=a=b", "--set", "number=8", "--set", `list=[1, "two", {"k": null}]`, "--set",
					`object={"a": 1.50}`,
				},
				`{"text":"a=b","number":8,"list":[1,"two",{"k":null}],"object":{"a":1.50}}`,
			},
			{[]string{"--set", "text=", "--set", "free=fix #12"}, `{"text":"","number":7,"free":"fix #12"}`},
			{[]string{"--set", "text=", "--set", "free=note: done"}, `{"text":"","number":7,"free":"note: done"}`},
			{[]string{"--set", "text=", "--set", "free=!important"}, `{"text":"","number":7,"free":"!important"}`},
			{[]string{"--set", "text=", "--set", "free=&x"}, `{"text":"","number":7,"free":"&x"}`},
			{[]string{"--set", "text=", "--set", "free=~"}, `{"text":"","number":7,"free":"~"}`},
			{[]string{"--set", "text=", "--set", "free=- item"}, `{"text":"","number":7,"free":"- item"}`},
			{[]string{"--set", "text=", "--set", "free=x:"}, `{"text":"","number":7,"free":"x:"}`},
			{[]string{"--set", "text=", "--set", "free=\"quoted\""}, `{"text":"","number":7,"free":"quoted"}`},
			{[]string{"--set", "text=", "--set", "free= lead"}, `{"text":"","number":7,"free":" lead"}`},
			{[]string{"--set", "text=", "--set", "free=1.10"}, `{"text":"","number":7,"free":1.10}`},
			{
				[]string{"--set", "text=", "--set", "free=12345678901234567890"},
				`{"text":"","number":7,"free":12345678901234567890}`,
			},
			{[]string{"--set", "text=", "--set", "free=1_000"}, `{"text":"","number":7,"free":"1_000"}`},
			{[]string{"--set", "text=", "--set", "free=NaN"}, `{"text":"","number":7,"free":"NaN"}`},
			{[]string{"--set", "text=", "--set", "free=[1, two]"}, `{"text":"","number":7,"free":"[1, two]"}`},
			{[]string{"--set", "text=", "--set", "free=null"}, `{"text":"","number":7,"free":null}`},
			{[]string{"--set", "text=1.10"}, `{"text":"1.10","number":7}`},
			{[]string{"--set", "text=\"q\""}, `{"text":"\"q\"","number":7}`},
			{[]string{"--input", "\ufeff{\"text\": \"a\"}"}, `{"text":"a","number":7}`},
			{[]string{"--set", "text=", "--set", "free=2026-11-21"}, `{"text":"","number":7,"free":"2026-11-21"}`},
		} {
			id := p.start(t, append([]string{path}, c.args...)...)
			if diff := cmp.Diff(normal(t, c.want), normal(t, string(p.show(t, id).Execution.Input))); diff != "" {
				t.Errorf("%q: %s", c.args, diff)
			}
			p.ok(t, "cancel", id)
		}
		for _, c := range []struct{ args, words []string }{
			{nil, []string{"sluice: input.text: it is required and missing"}},
			{
				[]string{"--set", "text=a", "--set", "numbr=3"},
				[]string{"input.numbr: unknown field", `did you mean "number"?`},
			},
			{
				[]string{"--set", "text=a", "--set", "number=three"},
				[]string{"input.number: it is a string, and must be of type integer\n"},
			},
			{
				[]string{"--set", "text=a", "--set", `number="3"`},
				[]string{"must be of type integer (write it without quotes)"},
			},
			{[]string{"--set", "text"}, []string{`--set "text": expected KEY=VALUE`}},
			{
				[]string{"--input", "{text: a}"},
				[]string{
					"--input: it is not JSON: line 1, column 2: invalid character 't'",
					`write --input '{"key": "value"}'`,
				},
			},
			{
				[]string{"--input", `{"text": "a"} x`},
				[]string{"--input: it is not JSON: line 1, column 15: invalid character 'x'"},
			},
			{
				[]string{"--input", `{"text": "a", "free": [1, {"k": 1, "k": 2}]}`},
				[]string{`line 1, column 36, at free[1]: the key "k" is there twice`},
			},
			{
				[]string{"--input", "{\r\n \"text\": \"a\",\r\n \"text\": \"b\"}", "--set", "number=1"},
				[]string{`line 3, column 2: the key "text" is there twice`},
			},
			{
				[]string{"--input", "{\"text\": \"a\xff\"}"},
				[]string{"--input: line 1, column 12, at text: byte 12 is not valid UTF-8"},
			},
			{
				[]string{"--input", `{"text": "a", "free": {"b": "\ud800"}}`},
				[]string{`line 1, column 30, at free.b: a string holds \ud800`},
			},
			{
				[]string{"--input", `{"text": "a", "free": 1e1001}`},
				[]string{"line 1, column 23, at free: the number 1e1001 is out of range: put it into quotes"},
			},
			{
				[]string{"--input", "@" + file(t, "wide.json", "\xff\xfe{\x00}\x00")},
				[]string{"wide.json: line 1, column 1: byte 1 is not valid UTF-8"},
			},
			{
				[]string{"--input", "@" + file(t, "large.json", strings.Repeat(" ", 8<<20)+"{}")},
				[]string{"large.json: it is larger than the limit of 8388608 bytes"},
			},
			{
				[]string{"--set", "text=a", "--set", `free={"x": 1, "x": 2}`},
				[]string{`at free: the key "x" is there twice`},
			},
			{[]string{"--input", "@/nowhere.json"}, []string{"/nowhere.json: no such file or directory"}},
			{[]string{"--input", "[1]", "--set", "text=a"}, []string{"--input: expected a JSON object"}},
			{[]string{"--input", "[1]"}, []string{"input"}},
			{[]string{"--input", `{"text": "\u0000"}`}, []string{"no database keeps"}},
		} {
			p.fails(t, 2, c.words, append([]string{"run", path}, c.args...)...)
			p.fails(t, 2, c.words, append([]string{"start", path}, c.args...)...)
		}
		if list := decode[listing[execution]](t, p.ok(t, "list", "-o", "json", "--status", "running")).
			Items; len(list) != 0 {
			t.Errorf("refused input started %d runs", len(list))
		}
	})
}

// normal returns JSON independent of the order of keys, which PostgreSQL does not keep, with its numbers as they are
// written.
func normal(t *testing.T, s string) any {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(s))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		t.Fatalf("%v in %s", err, s)
	}
	return v
}

// TestRunByName runs a definition of an extension, one that serve has registered, and a file from standard input.
func TestRunByName(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		p.extensions = []fx.Option{pipelines.ProvideDefinition(func() *definition.Definition {
			return &definition.Definition{Name: "built-in", Tasks: []definition.Task{{ID: "only", Run: "true"}}}
		})}
		contains(t, p.ok(t, "run", "built-in"), "built-in Completed")
		p.fails(t, 3, []string{"no such pipeline", `did you mean "built-in"?`}, "run", "built-on")
		p.fails(t, 3, []string{"no such pipeline"}, "start", "quite-different")
		p.stdin = "name: piped\ntasks: [{id: a, run: \"true\"}]\n"
		contains(t, p.ok(t, "run", "-"), "piped Completed")
		p.stdin = "name: piped\n"
		p.fails(t, 2, []string{"stdin:1:1: "}, "run", "-")
		p.fails(t, 2, []string{"nowhere.yaml: no such file or directory"}, "run", "nowhere.yaml")
	})
}

// TestRunRefusesWhatItCannotWorkOff checks that run refuses a task whose handler this process lacks, because nobody
// would ever claim it.
func TestRunRefusesWhatItCannotWorkOff(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		g := newGate()
		rich := &program{url: p.url, extensions: []fx.Option{g.option()}}
		serve := rich.begin(t, "serve", "--pipelines", filepath.Dir(file(t, "gated.yaml", gated)))
		dbtest.Eventually(t, "serving", func() bool { return strings.Contains(serve.stderr.String(), "serving") })
		serve.stop(t)
		p.fails(t, 2, []string{`no handler "gate"`, "`sluice start gated`"}, "run", "gated")
		p.fails(t, 3, []string{`did you mean "gated"?`}, "run", "gatde")
		p.ok(t, "cancel", p.start(t, "gated"))
	})
}

// TestInterruptedRun checks for exit code 130, that the task is released, and that serve continues the run.
func TestInterruptedRun(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		g := newGate()
		p.extensions = []fx.Option{g.option()}
		running := p.begin(t, "run", file(t, "gated.yaml", gated))
		<-g.begun
		r := running.stop(t)
		if r.code != 130 {
			t.Errorf("exit code %d\n%s", r.code, r.stderr)
		}
		contains(t, r.stderr, "interrupted; the run ", "2 tasks to do", "`sluice serve` goes on with it",
			"first given back: the worker is stopping")
		id := decode[listing[execution]](t, p.ok(t, "list", "-o", "json")).Items[0].ID
		if got := p.show(t, id).statuses()["first"]; got != "Ready" {
			t.Errorf("first is %s", got)
		}
		serve := p.begin(t, "serve")
		<-g.begun
		g.open <- nil
		<-g.begun
		g.open <- nil
		dbtest.Eventually(t, "the run completes", func() bool { return p.show(t, id).Execution.Status == "Completed" })
		if r := serve.stop(t); r.code != 0 {
			t.Errorf("serve: exit code %d\n%s", r.code, r.stderr)
		}
	})
}

// TestRunEndedByOthers tests a run that another process pauses, resumes and cancels.
func TestRunEndedByOthers(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		g := newGate()
		p.extensions = []fx.Option{g.option()}
		running := p.begin(t, "run", file(t, "gated.yaml", gated))
		<-g.begun
		id := decode[listing[execution]](t, p.ok(t, "list", "-o", "json")).Items[0].ID
		contains(t, p.ok(t, "pause", id, "--reason", "the disk is full"), "paused gated "+id, "`sluice resume "+id+"`")
		g.open <- nil
		dbtest.Eventually(t, "the pause shows", func() bool {
			return strings.Contains(running.stderr.String(), "pipeline gated paused by cli:") &&
				strings.Contains(running.stderr.String(), "first completed")
		})
		contains(t, p.plain(running.stderr.String()), "the disk is full", "`sluice resume "+id+"` lets it go on")
		contains(t, p.ok(t, "show", id), "the pipeline was paused by cli:", ": the disk is full")
		p.ok(t, "resume", id)
		<-g.begun
		p.ok(t, "cancel", id, "--reason", "enough")
		r := running.wait(t)
		if r.code != 1 {
			t.Errorf("exit code %d", r.code)
		}
		contains(t, r.stderr, "second cancelled: enough")
		contains(t, r.stdout, "gated Cancelled in ", "1 Completed, 1 Cancelled")
	})
}
