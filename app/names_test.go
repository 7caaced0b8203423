package app_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
)

const namesPipeline = `name: words
tasks:
  - {id: a, run: "true", priority: low}
  - {id: b, run: exit 7, needs: [a]}
`

// TestNames checks that JSON uses the names of the YAML, in every command and in the data of events.
func TestNames(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		path := file(t, "words.yaml", namesPipeline)
		r := p.run(t, "run", path, "-o", "json")
		ran := decode[map[string]any](t, r.stdout)
		run := ran["execution"].(map[string]any)
		if r.code != 1 || run["pipeline"] != "words" || run["duration_ms"] == nil {
			t.Fatalf("exit code %d, execution %v", r.code, run)
		}
		id := run["id"].(string)
		shown := decode[map[string]any](t, p.ok(t, "show", id, "-o", "json"))
		for _, doc := range []map[string]any{ran, shown} {
			b := doc["tasks"].([]any)[1].(map[string]any)
			if b["id"] != "b" || b["uses"] != "shell" || b["priority"] != "normal" ||
				b["pipeline_execution_id"] != id || b["duration_ms"] == nil ||
				len(b["task_execution_id"].(string)) != 36 || len(b["needs"].([]any)) != 1 {
				t.Errorf("task %v", b)
			}
		}
		if a := shown["attempts"].([]any)[0].(map[string]any); a["id"] != "a" || a["attempt"] != 1.0 {
			t.Errorf("attempt %v", a)
		}
		data := map[string]map[string]any{}
		for _, e := range p.events(t, "--pipeline-execution", id) {
			if data[e.EventType] == nil {
				data[e.EventType] = decode[map[string]any](t, string(e.EventData))
			}
		}
		for kind, want := range map[string]string{
			"task_created":     "id max_attempts needs priority queue trigger_rule uses",
			"pipeline_started": "definition_version pipeline task_count",
		} {
			if got := strings.Join(slices.Sorted(maps.Keys(data[kind])), " "); got != want {
				t.Errorf("%s holds %s, want %s", kind, got, want)
			}
		}
		if c := data["task_created"]; c["id"] != "a" || c["uses"] != "shell" || c["priority"] != "low" {
			t.Errorf("task_created %v", c)
		}
		old := []string{`"task_name"`, `"pipeline_name"`, `"handler"`, `"dependencies"`}
		for _, args := range [][]string{
			{"list"},
			{"show", id},
			{"show", id, "--at", "0s"},
			{"events"},
			{"diff", id, id},
			{"verify", id},
			{"validate", path},
			{"outbox"},
			{"workers"},
			{"doctor"},
		} {
			text := p.run(t, append(args, "-o", "json")...).stdout
			for _, name := range old {
				if strings.Contains(text, name) {
					t.Errorf("%q has %s:\n%s", args, name, text)
				}
			}
		}
		for _, args := range [][]string{
			{"list"},
			{"events"},
			{"outbox"},
			{"workers"},
			{"doctor"},
			{"validate", path},
			{"verify", "--all-tenants"},
			{"tenants", "list"},
		} {
			doc := decode[map[string]json.RawMessage](t, p.run(t, append(args, "-o", "json")...).stdout)
			if items := doc["items"]; len(doc) != 2 || len(items) == 0 || items[0] != '[' || doc["next"] == nil {
				t.Errorf("%q is no list: %v", args, doc)
			}
		}
	})
}

// TestErrorsAsJSON checks that with -o json an error is one document on standard error, and that standard output is
// empty.
func TestErrorsAsJSON(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		good, bad := file(t, "good.yaml", namesPipeline),
			file(t, "bad.yaml", "name: x\ntasks:\n  - {id: a, rum: 'true'}\n")
		id := p.start(t, good)
		for _, c := range []struct {
			code int
			word string
			args []string
		}{
			{2, "needs the name", []string{"start", "-o", "json"}},
			{2, "--nonsense", []string{"list", "--nonsense", "--output=json"}},
			{2, "rum", []string{"start", bad, "-o", "json"}},
			{3, "no such pipeline execution", []string{"show", "01a21ac2-d42f-785b-81b3-c51050fe7ddf", "-ojson"}},
			{5, "cannot resume", []string{"resume", id, "-o", "json"}},
		} {
			r := p.run(t, c.args...)
			e := decode[struct {
				Error struct {
					Code     int
					Message  string
					Hint     *string
					Problems []struct {
						Line int
					}
				}
			}](t, r.stderr).Error
			if r.code != c.code || e.Code != c.code || !strings.Contains(e.Message, c.word) || r.stdout != "" {
				t.Errorf("%q: exit code %d, %+v\n%s", c.args, r.code, e, r.stdout)
			}
			if c.word == "rum" && (len(e.Problems) == 0 || e.Problems[0].Line != 3) {
				t.Errorf("problems %+v", e.Problems)
			}
		}
	})
}
