package app_test

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/sluiceworks/sluice/platform/db/dbtest"
)

// compactJSON writes a document in one form, whichever database stored it.
func compactJSON(t *testing.T, doc []byte) string {
	t.Helper()
	var v any
	if err := json.Unmarshal(doc, &v); err != nil {
		t.Fatalf("%v in %s", err, doc)
	}
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(bytes.TrimSpace(out))
}

type shownPipeline struct {
	Pipeline string
	Version  string
	Current  bool
	Inputs   []struct {
		Name, Type  string
		Required    bool
		Default     any
		Choices     []any
		Description *string
	}
	Definition struct{ Tasks []struct{ Run string } }
	Versions   []struct {
		Version      string
		Current      bool
		RegisteredAt *string `json:"registered_at"`
	}
}

// TestPipelines checks that registered pipelines are listed with their inputs, that a version is found by the
// beginning of its hash, and that its YAML has the same version.
func TestPipelines(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		contains(t, p.run(t, "pipelines", "list").stderr, "no pipelines")
		dir := t.TempDir()
		write := func(word string) {
			text := "name: orders\ndescription: what comes in\ninput:\n  day: {type: string, required: true, " +
				"description: the day}\n" +
				"  size: {type: integer, default: 3, choices: [1, 3]}\n" +
				"tasks:\n  - {id: load, timeout: 90s, run: echo " + word + "}\n"
			if err := os.WriteFile(dir+"/orders.yaml", []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		show := func(args ...string) shownPipeline {
			return decode[shownPipeline](t,
				p.ok(t, append([]string{"pipelines", "show", "orders", "-o", "json"}, args...)...))
		}
		serve := func(word string) {
			write(word)
			s := p.begin(t, "serve", "--pipelines", dir)
			dbtest.Eventually(t, word+" is registered", func() bool {
				r := p.run(t, "pipelines", "show", "orders")
				return r.code == 0 && strings.Contains(r.stdout, "echo "+word)
			})
			s.stop(t)
		}
		serve("one")
		first := show()
		serve("two")
		second := show()
		if first.Version == second.Version || !second.Current || len(second.Versions) != 2 ||
			second.Versions[0].Version != second.Version ||
			!second.Versions[0].Current || second.Versions[1].Current || second.Definition.Tasks[0].Run != "echo two" {
			t.Errorf("%+v", second)
		}
		if in := second.Inputs; len(in) != 2 || in[0].Name != "day" || !in[0].Required ||
			*in[0].Description != "the day" || in[1].Type != "integer" ||
			len(in[1].Choices) != 2 || in[1].Default != 3.0 {
			t.Errorf("inputs: %+v", in)
		}
		if old := show("--version", first.Version[:6]); old.Version != first.Version || old.Current ||
			old.Definition.Tasks[0].Run != "echo one" {
			t.Errorf("an earlier version: %+v", old)
		}
		list := decode[listing[struct {
			Pipeline  string
			Version   string
			Versions  int
			TaskCount int `json:"task_count"`
			Inputs    []any
		}]](t, p.ok(t, "pipelines", "list", "-o", "json")).Items
		if n := len(list); n == 0 || list[n-1].Pipeline != "orders" && list[0].Pipeline != "orders" {
			t.Fatalf("the list: %+v", list)
		}
		contains(t, p.ok(t, "pipelines", "list"), "orders", "day* size", "what comes in", second.Version)
		contains(t, p.ok(t, "pipelines", "show", "orders"), "what comes in", "(current)", "the day", "1, 3",
			first.Version)
		diff := p.ok(t, "pipelines", "diff", "orders", first.Version[:8], second.Version[:8])
		contains(t, diff, "-    run: echo one", "+    run: echo two", "orders "+first.Version)
		doc := decode[struct {
			Same     bool
			From, To string
			Diff     string
		}](t, p.ok(t, "pipelines", "diff", "orders", first.Version, "-o", "json"))
		if doc.Same || doc.From != first.Version || doc.To != second.Version || doc.Diff != diff {
			t.Errorf("the difference to the current one: %+v", doc)
		}
		again := file(t, "again.yaml", p.ok(t, "pipelines", "show", "orders", "--version", first.Version, "-o", "yaml"))
		id := p.start(t, again, "--set", "day=monday")
		if got := decode[struct {
			Execution struct {
				Version string `json:"definition_version"`
			}
		}](t, p.ok(t, "show", id, "-o", "json")).Execution.Version; got != first.Version {
			t.Errorf("the printed YAML has version %s, want %s", got, first.Version)
		}
		p.fails(t, 3, []string{"no such pipeline", `did you mean "orders"?`}, "pipelines", "show", "order")
		p.fails(t, 3, []string{"has no version ffff", first.Version}, "pipelines", "show", "orders", "--version",
			"ffff")
		p.fails(t, 2, []string{"one or two versions"}, "pipelines", "diff", "orders")
		p.start(t, "../examples/failing.yaml")
		p.fails(t, 3, []string{"only run from a file", "--version takes one of"}, "pipelines", "show", "failing")
	})
}
