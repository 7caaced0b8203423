package app_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
)

type sealed struct {
	Execution struct {
		ID                string  `json:"id"`
		PipelineName      string  `json:"pipeline_name"`
		DefinitionVersion string  `json:"definition_version"`
		Version           int64   `json:"version"`
		Seal              *string `json:"seal"`
		FormerSeal        *string `json:"former_seal"`
		SealedVersion     *int64  `json:"sealed_version"`
	} `json:"execution"`
}

func (p *program) sealOf(t *testing.T, id string) sealed {
	t.Helper()
	return decode[sealed](t, p.ok(t, "show", id, "-o", "json"))
}

// recomputed is the seal of an execution as docs/seal.md tells an outsider to work it out, from what the program prints.
func (p *program) recomputed(t *testing.T, s sealed) string {
	t.Helper()
	text := func(v any) string {
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		if err := e.Encode(v); err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(b.String())
	}
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
	out := text([]any{"sluice-seal/1", s.Execution.ID, s.Execution.PipelineName, s.Execution.DefinitionVersion, s.Execution.Version, s.Execution.FormerSeal}) + "\n"
	for _, e := range slices.Concat(own, tasks, notes) {
		var data any // numbers here are whole and small: Go writes them as the form asks
		if err := json.Unmarshal(e.EventData, &data); err != nil {
			t.Fatal(err)
		}
		line := text([]any{e.ID, e.TaskExecutionID, e.Version, e.EventType, data, e.WorkerID, e.Actor, e.CreatedAt})
		out += fmt.Sprintf("%x\n", sha256.Sum256([]byte(line)))
	}
	sum := sha256.Sum256([]byte(out))
	return hex.EncodeToString(sum[:])
}

// TestSeal: off unless asked for; then what ends is sealed, an outsider gets the same seal, a retry's seal covers the former one,
// and a change that no fold can see is found.
func TestSeal(t *testing.T) {
	t.Parallel()
	for backend, url := range map[string]func(testing.TB) string{"sqlite": dbtest.SQLiteURL, "postgres": dbtest.PostgresURL} {
		t.Run(backend, func(t *testing.T) {
			t.Parallel()
			p := &program{url: url(t)}
			flag := filepath.Join(t.TempDir(), "flag")
			path := file(t, "flaky.yaml", "name: flaky\ndefaults: {retry: {max_attempts: 1}}\ntasks:\n  - {id: a, run: 'true'}\n  - {id: b, needs: [a], run: 'test -e "+flag+"'}\n")
			p.run(t, "run", path)
			early := p.newest(t).Execution.ID
			if s := p.sealOf(t, early); s.Execution.Seal != nil {
				t.Fatalf("sealed without being asked: %+v", s)
			}
			p.run(t, "run", path, "--seal")
			id := p.newest(t).Execution.ID
			first := p.sealOf(t, id)
			if first.Execution.Seal == nil || *first.Execution.Seal != p.recomputed(t, first) || first.Execution.FormerSeal != nil {
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
			dbtest.Eventually(t, "the second seal", func() bool { return *p.sealOf(t, id).Execution.Seal != *first.Execution.Seal })
			s.stop(t)
			second := p.sealOf(t, id)
			if *second.Execution.Seal != p.recomputed(t, second) || *second.Execution.FormerSeal != *first.Execution.Seal {
				t.Fatalf("%+v, recomputed %s", second, p.recomputed(t, second))
			}
			p.ok(t, "annotate", id, "--data", `{"note": "after the end: not covered"}`)
			contains(t, p.ok(t, "seal", "--all"), "sealed 1 execution; sealing is on")
			contains(t, p.ok(t, "verify"), ", 2 seals: no breach")
			contains(t, p.ok(t, "seal", "--off"), "sealed 0 executions; sealing is off")
			p.ok(t, "run", path)
			contains(t, p.ok(t, "verify"), ", 2 seals: no breach")
			p.roots(t)
			p.tampered(t, id)
		})
	}
}

// roots: the root is of a period, and says what has no seal.
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
	if none := decode[root](t, p.ok(t, "verify", "--print-root", "--until", "1h", "-o", "json")); none.Executions != 0 || none.Root == all.Root {
		t.Errorf("%+v", none)
	}
	p.ok(t, "cleanup", "--retain-events", "1ms", "--pipeline", "nobody")
	p.fails(t, 2, []string{"--until: ", "is no time"}, "verify", "--print-root", "--until", "soon")
	p.fails(t, 2, []string{"--until is for --print-root"}, "verify", "--until", "1h")
}

// tampered changes what no fold looks at, in several places, one after the other; what retention takes keeps its seal.
func (p *program) tampered(t *testing.T, execution string) {
	t.Helper()
	d := dbtest.Open(t, p.url)
	args := db.Args{"p": id(t, execution)}
	for _, c := range [][2]string{
		{
			`UPDATE {execution_events} SET actor = 'somebody else' WHERE pipeline_execution_id = $p AND event_type = 'pipeline_restarted'`,
			`UPDATE {execution_events} SET actor = (SELECT e.actor FROM {execution_events} AS e WHERE e.pipeline_execution_id = $p AND e.event_type = 'pipeline_started')
WHERE pipeline_execution_id = $p AND event_type = 'pipeline_restarted'`,
		},
		{`UPDATE {pipeline_executions} SET former_seal = 'f00d' WHERE id = $p`, ``},
	} {
		mustExec(t, d, c[0], args)
		r := p.run(t, "verify", execution)
		if r.code != 1 || !strings.Contains(r.stdout, "seal sealed · pipeline execution "+execution) {
			t.Errorf("%s: exit code %d\n%s", c[0], r.code, r.stdout)
		}
		if c[1] != "" {
			mustExec(t, d, c[1], args)
			contains(t, p.ok(t, "verify", execution), "no breach")
		}
	}
	before := p.ok(t, "verify", "--print-root")
	p.ok(t, "cleanup", "--retain-events", "1ms")
	contains(t, p.ok(t, "verify"), "retained summary", "2 seals")
	if after := p.ok(t, "verify", "--print-root"); after != before {
		t.Errorf("the root changed with the retention of events:\n%s%s", before, after)
	}
}
