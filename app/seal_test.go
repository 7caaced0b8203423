package app_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sluiceworks/sluice/platform/db/dbtest"
)

type sealed struct {
	Execution struct {
		ID                string  `json:"id"`
		PipelineName      string  `json:"pipeline"`
		DefinitionVersion string  `json:"definition_version"`
		Version           int64   `json:"version"`
		Seal              *string `json:"seal"`
		FormerSeal        *string `json:"former_seal"`
		SealedVersion     *int64  `json:"sealed_version"`
		SealParts         string  `json:"seal_parts"`

		IdempotencyKey *string           `json:"idempotency_key"`
		Input          json.RawMessage   `json:"input"`
		Labels         map[string]string `json:"labels"`
	} `json:"execution"`
	Tasks []sealedTask `json:"tasks"`
}

type sealedTask struct {
	TaskExecutionID string          `json:"task_execution_id"`
	Output          json.RawMessage `json:"output"`
}

func (p *program) sealOf(t *testing.T, id string) sealed {
	t.Helper()
	return decode[sealed](t, p.ok(t, "show", id, "-o", "json"))
}

// plain writes a value in the canonical form of docs/seal.md. Numbers in these tests have no exponents, so Go writes
// them in that form.
func plain(t *testing.T, v any) string {
	t.Helper()
	if raw, ok := v.(json.RawMessage); ok {
		dec := json.NewDecoder(bytes.NewReader(raw))
		dec.UseNumber()
		if err := dec.Decode(&v); err != nil {
			t.Fatal(err)
		}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(b.String())
}

func sha(text string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(text))) }

// eventHashes returns the hashes of an execution's events, computed as docs/seal.md describes.
func (p *program) eventHashes(t *testing.T, s sealed) string {
	t.Helper()
	list := p.events(t, "--pipeline-execution", s.Execution.ID)
	last := 0
	for i, e := range list {
		if slices.Contains([]string{"pipeline_completed", "pipeline_failed", "pipeline_cancelled"}, e.EventType) {
			last = i
		}
	}
	var own, tasks, notes []event
	for i, e := range list {
		switch {
		case e.Version == nil && i < last:
			notes = append(notes, e)
		case e.Version != nil && e.TaskExecutionID == nil:
			own = append(own, e)
		case e.Version != nil:
			tasks = append(tasks, e)
		}
	}
	slices.SortFunc(own, func(a, b event) int { return int(*a.Version - *b.Version) })
	slices.SortFunc(tasks, func(a, b event) int {
		if n := strings.Compare(*a.TaskExecutionID, *b.TaskExecutionID); n != 0 {
			return n
		}
		return int(*a.Version - *b.Version)
	})
	out := ""
	for _, e := range slices.Concat(own, tasks, notes) {
		var data any
		if err := json.Unmarshal(e.EventData, &data); err != nil {
			t.Fatal(err)
		}
		out += sha(plain(t, []any{
			e.ID, e.TaskExecutionID, e.Version, e.EventType, data, e.WorkerID, e.Actor,
			e.CreatedAt,
		})) + "\n"
	}
	return out
}

// recomputed returns the seal of form 2 of an execution, computed as docs/seal.md describes from what the program
// prints.
func (p *program) recomputed(t *testing.T, s sealed) string {
	t.Helper()
	x := &s.Execution
	sum := func(doc json.RawMessage) any {
		if string(doc) == "null" {
			return nil
		}
		return sha(plain(t, doc))
	}
	var definition json.RawMessage
	for line := range strings.Lines(p.ok(t, "export", x.ID)) {
		var d struct {
			Definition struct{ Definition json.RawMessage }
		}
		if strings.HasPrefix(line, `{"definition":`) {
			if err := json.Unmarshal([]byte(line), &d); err != nil {
				t.Fatal(err)
			}
			definition = d.Definition.Definition
		}
	}
	lines := [][]any{
		{"sluice-seal/2", x.ID, x.PipelineName, x.DefinitionVersion, x.Version, x.FormerSeal},
		{"input", sum(x.Input)},
		{"idempotency_key", x.IdempotencyKey},
		{"definition", sum(definition)},
	}
	for _, name := range slices.Sorted(maps.Keys(x.Labels)) {
		lines = append(lines, []any{"label", name, x.Labels[name]})
	}
	lines = append(lines, []any{"events", sha(p.eventHashes(t, s))})
	slices.SortFunc(s.Tasks, func(a, b sealedTask) int { return strings.Compare(a.TaskExecutionID, b.TaskExecutionID) })
	for _, task := range s.Tasks {
		if h := sum(task.Output); h != nil {
			lines = append(lines, []any{"output", task.TaskExecutionID, h})
		}
	}
	out := ""
	for _, l := range lines {
		out += plain(t, l) + "\n"
	}
	if out != x.SealParts {
		t.Errorf("seal_parts is\n%s, and what is printed says\n%s", x.SealParts, out)
	}
	return sha(out)
}

// TestSeal checks that sealing is off by default, that what ends afterwards is sealed, that an outsider computes the
// same seal, and that a retry's seal covers the former one.
func TestSeal(t *testing.T) {
	t.Parallel()
	for backend, url := range map[string]func(testing.TB) string{
		"sqlite":   dbtest.SQLiteURL,
		"postgres": dbtest.PostgresURL,
	} {
		t.Run(backend, func(t *testing.T) {
			t.Parallel()
			p := &program{url: url(t)}
			flag := filepath.Join(t.TempDir(), "flag")
			path := file(t, "flaky.yaml",
				"name: flaky\ndefaults: {retry: {max_attempts: 1}}\ntasks:\n  - {id: a, run: 'true'}\n  - {id: b, "+
					"needs: [a], run: 'test -e "+flag+"'}\n")
			p.run(t, "run", path)
			early := p.newest(t).Execution.ID
			if s := p.sealOf(t, early); s.Execution.Seal != nil {
				t.Fatalf("sealed without being asked: %+v", s)
			}
			p.run(t, "run", path, "--seal")
			id := p.newest(t).Execution.ID
			first := p.sealOf(t, id)
			if first.Execution.Seal == nil || *first.Execution.Seal != p.recomputed(t, first) ||
				first.Execution.FormerSeal != nil {
				t.Fatalf("%+v, recomputed %s", first, p.recomputed(t, first))
			}
			contains(t, p.ok(t, "verify"), ", 1 seal: no breach")
			p.ok(t, "annotate", id, "--data", `{"note": "between", "z": 1, "a": "é<"}`)
			if err := os.WriteFile(flag, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			p.ok(t, "retry", id)
			contains(t, p.ok(t, "verify"), "no breach")
			s := p.begin(t, "serve")
			dbtest.Eventually(t, "the second seal",
				func() bool { return *p.sealOf(t, id).Execution.Seal != *first.Execution.Seal })
			s.stop(t)
			second := p.sealOf(t, id)
			if *second.Execution.Seal != p.recomputed(t, second) ||
				*second.Execution.FormerSeal != *first.Execution.Seal {
				t.Fatalf("%+v, recomputed %s", second, p.recomputed(t, second))
			}
			p.ok(t, "annotate", id, "--data", `{"note": "after the end: not covered"}`)
			contains(t, p.ok(t, "seal", "--all"), "sealed 1 execution; sealing is on")
			contains(t, p.ok(t, "verify"), ", 2 seals: no breach")
			contains(t, p.ok(t, "seal", "--off"), "sealed 0 executions; sealing is off")
			p.ok(t, "run", path)
			contains(t, p.ok(t, "verify"), ", 2 seals: no breach")
			p.roots(t)
		})
	}
}

// roots checks that the root covers a period, and reports executions without a seal.
func (p *program) roots(t *testing.T) {
	t.Helper()
	type root struct {
		Root       string `json:"root"`
		Executions int    `json:"executions"`
		Unsealed   int    `json:"unsealed"`
	}
	all := decode[root](t, p.ok(t, "verify", "--print-root", "-o", "json"))
	if all.Executions != 2 || all.Unsealed != 1 || len(all.Root) != 64 {
		t.Errorf("%+v", all)
	}
	contains(t, p.ok(t, "verify", "--print-root"), all.Root, "1 execution of the period without a seal")
	if none := decode[root](t, p.ok(t, "verify", "--print-root", "--until", "1h", "-o",
		"json")); none.Executions != 0 || none.Root == all.Root {
		t.Errorf("%+v", none)
	}
	p.ok(t, "cleanup", "--retain-events", "1ms", "--pipeline", "nobody")
	p.fails(t, 2, []string{"--until: ", "invalid time"}, "verify", "--print-root", "--until", "soon")
	p.fails(t, 2, []string{"--until is for --print-root"}, "verify", "--until", "1h")
}
