package app_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sluiceworks/sluice/app"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
)

// shape describes the JSON values at one place: their types, and their parts.
type shape struct {
	types  map[string]bool
	fields map[string]*shape // of objects
	items  *shape            // of arrays
}

// asWritten are fields whose content is the user's, or differs between runs.
var asWritten = map[string]bool{
	"input": true, "output": true, "labels": true, "data": true, "default": true, "choices": true, "definition": true,
	"with":     true,
	"settings": true, "server": true, "counts": true,
}

var (
	isID   = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$`)
	isTime = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}`)
)

// see adds a value.
func (s *shape) see(name string, v any) {
	if s.types == nil {
		s.types, s.fields = map[string]bool{}, map[string]*shape{}
	}
	switch v := v.(type) {
	case nil:
		s.types["null"] = true
	case bool:
		s.types["boolean"] = true
	case string:
		switch {
		case isID.MatchString(v):
			s.types["id"] = true
		case isTime.MatchString(v):
			s.types["time"] = true
		default:
			s.types["text"] = true
		}
	case json.Number:
		s.types["number"] = true
	case []any:
		s.types["list"] = true
		if s.items == nil {
			s.items = &shape{}
		}
		for _, e := range v {
			s.items.see("", e)
		}
	case map[string]any:
		s.types["object"] = true
		if asWritten[name] {
			return
		}
		for k, e := range v {
			if s.fields[k] == nil {
				s.fields[k] = &shape{}
			}
			s.fields[k].see(k, e)
		}
	}
}

// read adds an answer to a command.
func (s *shape) read(t *testing.T, command, answer string) {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(answer))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		t.Fatalf("%s: %v in\n%s", command, err, answer)
	}
	s.see("", v)
}

// write lists the fields, one per line, each below the one that contains it.
func (s *shape) write(b *strings.Builder, path string) {
	for _, k := range slices.Sorted(maps.Keys(s.fields)) {
		f, at := s.fields[k], path+k
		types := slices.Sorted(maps.Keys(f.types))
		if i := slices.Index(types, "text"); i >= 0 && len(types) > 1 &&
			(types[0] == "id" || slices.Contains(types, "time")) {
			types = slices.DeleteFunc(types, func(t string) bool { return t == "id" || t == "time" })
		}
		fmt.Fprintf(b, "| `%s` | %s |\n", at, strings.Join(types, ", "))
		if asWritten[k] {
			continue
		}
		if f.items != nil {
			if inner := slices.Sorted(maps.Keys(f.items.types)); len(f.items.fields) == 0 && len(inner) > 0 {
				fmt.Fprintf(b, "| `%s[]` | %s |\n", at, strings.Join(inner, ", "))
			}
			f.items.write(b, at+"[].")
		}
		f.write(b, at+".")
	}
}

// answers are the commands whose JSON the reference lists. ID is a run that failed, OTHER one that completed, OPEN
// one that is open.
var answers = []struct {
	title    string
	commands []string // their shapes are combined
}{
	{"start", []string{"start FIRST --idempotency-key k"}},
	{"run", []string{"run FIRST --quiet", "run FAILING --quiet"}},
	{"list", []string{"list", "list --limit 1", "list --status failed"}},
	{"list --counts", []string{"list --counts"}},
	{"show", []string{"show ID --logs", "show OTHER --logs", "show OPEN --logs", "show ID --at-event 4"}},
	{"logs", []string{"logs ID"}},
	{"diff", []string{"diff ID ID2"}},
	{"events", []string{"events --pipeline-execution ID", "events --limit 2"}},
	{"outbox", []string{"outbox"}},
	{"pause", []string{"pause OPEN"}},
	{"resume", []string{"resume OPEN"}},
	{"retry", []string{"retry ID"}},
	{"cancel", []string{"cancel OPEN"}},
	{"cancel with several ids", []string{"cancel ID OTHER --yes"}},
	{"annotate", []string{`annotate ID --data {"a":1}`}},
	{"validate", []string{"validate FIRST", "validate MISTAKES"}},
	{"workers", []string{"workers"}},
	{"doctor", []string{"doctor"}},
	{"verify", []string{"verify"}},
	{"wait", []string{"wait ID OTHER"}},
	{"rerun", []string{"rerun ID"}},
	{"pipelines list", []string{"pipelines list"}},
	{"pipelines show", []string{"pipelines show first"}},
	{"schedules next", []string{"schedules next @daily --timezone America/Santiago --from 2024-09-07 --count 2"}},
	{"migrate", []string{"migrate status"}},
	{"tenants list", []string{"tenants list"}},
	{"cleanup", []string{"cleanup --retain-logs 1h"}},
	{"cleanup-events", []string{"cleanup-events --older-than 1h"}},
	{"seal", []string{"seal"}},
	{"backup", []string{"backup BACKUP"}},
	{"import", []string{"import EXPORT"}},
	{"wait", []string{"wait OTHER"}},
	{"count", []string{"count"}},
	{"pipelines list", []string{"pipelines list"}},
	{"rerun", []string{"rerun OTHER"}},
	{"version", []string{"version"}},
	{"an error", []string{"show 0197c2a4-7b1e-7000-8000-0123456789ab", "list --limit 0"}},
}

const jsonHead = `# Answers as JSON

<!-- Written by go test ./app -run Reference -update, from answers of the program. -->

Every command that answers takes ` + "`-o json`" + ` and then prints one JSON document on standard output;
` + "`events --follow`, `logs -f`" + ` print one a line. Every list is ` + "`{\"items\": […], \"next\": cursor}`" + `,
where ` + "`next`" + ` is null or goes to ` + "`--cursor`" + `. An error is one document on standard error. Names are
those of the [YAML](yaml.md) where it has one. A field is never left out because it has no value: it is null. Times are
RFC 3339 in UTC, apart from local ones in ` + "`schedules next`" + `; ids are UUIDs; fields that end in
` + "`_ms`" + ` are milliseconds. New fields may come with any release; none that is listed here goes or changes its
meaning before 1.0 without a line in the changelog.

What is ` + "`object`" + ` without further lines holds what the user wrote, or names as keys. [What each event holds in
` + "`data`" + `](events.md).
`

// TestJSONReference checks that docs/json.md lists the fields of each command's JSON.
func TestJSONReference(t *testing.T) {
	t.Parallel()
	p := &program{url: dbtest.SQLiteURL(t)}
	names := p.forAnswers(t)
	var b strings.Builder
	b.WriteString(jsonHead)
	for _, a := range answers {
		s := &shape{}
		for _, line := range a.commands {
			r := p.run(t, append(strings.Fields(names.Replace(line)), "-o", "json")...)
			text := r.stdout
			if text == "" {
				text = r.stderr[max(strings.Index(r.stderr, "{"), 0):]
			}
			s.read(t, line, text)
		}
		if a.title == "version" {
			s.read(t, "version of a build from a checkout", app.BuildFromCheckout(t))
		}
		fmt.Fprintf(&b, "\n## %s\n\n| field | type |\n|---|---|\n", a.title)
		s.write(&b, "")
	}
	// Whether a field is null can depend on the moment.
	app.CompareReference(t, "../docs/json.md", b.String(),
		strings.NewReplacer(" null |", " |", "null, ", "", ", null", ""))
}

// forAnswers creates what the commands ask about.
func (p *program) forAnswers(t *testing.T) *strings.Replacer {
	t.Helper()
	failing, first := "../examples/failing.yaml", "../examples/first.yaml"
	p.run(t, "run", failing)
	id2 := p.newest(t).Execution.ID
	p.run(t, "run", failing)
	id := p.newest(t).Execution.ID
	p.ok(t, "run", first, "--set", "dir="+t.TempDir(), "--seal")
	other := p.newest(t).Execution.ID
	export := filepath.Join(t.TempDir(), "export.jsonl")
	p.ok(t, "export", "--all", "--file", export)
	open := p.start(t, first, "--label", "night=1")
	p.begin(t, "serve", "--queues", "elsewhere")
	dbtest.Eventually(t, "a worker is there", func() bool { return strings.Contains(p.ok(t, "workers"), "elsewhere") })
	return strings.NewReplacer("ID2", id2, "ID", id, "OTHER", other, "OPEN", open, "FIRST", first, "FAILING", failing,
		"MISTAKES", "../examples/mistakes/invalid.yaml", "BACKUP", filepath.Join(t.TempDir(), "copy.db"), "EXPORT",
		export)
}
