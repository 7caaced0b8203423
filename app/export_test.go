package app_test

import (
	"encoding/csv"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluiceworks/sluice/platform/db/dbtest"
)

// full fills a database with runs of every kind: completed and failed, retried, annotated, sealed, without outputs,
// with logs.
func (p *program) full(t *testing.T) {
	t.Helper()
	path := file(t, "kept.yaml", kept)
	p.ok(t, "run", path)
	p.ok(t, "run", "../examples/first.yaml", "--set", "dir="+t.TempDir(), "--seal")
	p.ok(t, "annotate", p.newest(t).
		Execution.ID, "--data", `{"n": 1.50, "big": 12345678901234567890, "e": 1e3, "z": {"b": "é</p>", "a": []}}`)
	p.run(t, "run", "../examples/failing.yaml")
	p.ok(t, "cancel", p.start(t, path, "--idempotency-key", "k"))
	p.ok(t, "cleanup", "--retain-outputs", "1ms", "--pipeline", "kept")
}

func (p *program) export(t *testing.T, args ...string) (path, text string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "export.jsonl")
	p.ok(t, append([]string{"export", "--file", path}, args...)...)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return path, string(raw)
}

// TestExportKeepsFile checks that an existing file is replaced only with --force.
func TestExportKeepsFile(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		p.ok(t, "run", file(t, "one.yaml", pipelineText("one", "1")))
		path := file(t, "mine.txt", "mine")
		p.fails(t, 2, []string{"mine.txt exists", "--force"}, "export", "--all", "--file", path)
		if raw, err := os.ReadFile(path); err != nil || string(raw) != "mine" {
			t.Errorf("%q, %v", raw, err)
		}
		p.ok(t, "export", "--all", "--force", "--file", path)
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		contains(t, string(raw), `"one"`)
	})
}

// TestExportImport copies SQLite → PostgreSQL → SQLite and the reverse, and checks that the bytes, the answers and
// the root are the same, and that every copy verifies.
func TestExportImport(t *testing.T) {
	t.Parallel()
	other := map[string]func(testing.TB) string{"sqlite": dbtest.PostgresURL, "postgres": dbtest.SQLiteURL}
	same := map[string]func(testing.TB) string{"sqlite": dbtest.SQLiteURL, "postgres": dbtest.PostgresURL}
	each(t, func(t *testing.T, p *program) {
		backend := "sqlite"
		if strings.HasPrefix(p.url, "postgres") {
			backend = "postgres"
		}
		p.full(t)
		path, text := p.export(t, "--all")
		for _, url := range []string{other[backend](t), same[backend](t)} {
			copied := &program{url: url}
			contains(t, copied.ok(t, "import", path), "imported 4 executions", "no breach")
			again, got := copied.export(t, "--all")
			if got != text {
				t.Errorf("the copy is exported otherwise:\n%s\nwas\n%s", got, text)
			}
			for _, args := range [][]string{
				{"list"},
				{"verify"},
				{"verify", "--print-root"},
				{"show", p.newest(t).Execution.ID},
			} {
				if a, b := p.ok(t, args...), copied.ok(t, args...); a != b {
					t.Errorf("%v:\n%s\nand of the copy\n%s", args, a, b)
				}
			}
			originals := p.events(t, "--limit", "1000")
			for i, e := range copied.events(t, "--limit", "1000") {
				was := originals[i]
				was.EventData, e.EventData = nil, nil // databases write it differently, and exports do not
				if !cmp.Equal(e, was) {
					t.Errorf("event %d is %+v, and was %+v", i, e, was)
				}
			}
			path = again
			copied.fails(t, 2, []string{"is in this database already", "nothing was written"}, "import", path)
		}
		one := p.newest(t).Execution.ID
		_, text = p.export(t, one)
		if strings.Count(text, `{"execution":`) != 1 || !strings.Contains(text, one) {
			t.Errorf("one execution:\n%s", text)
		}
		p.fails(t, 3, []string{"no such pipeline execution"}, "export", "0197c2a4-7b1e-7000-8000-0123456789ab")
		p.fails(t, 2, []string{"needs ids, --all or --since"}, "export")
	})
}

// TestImportRefuses checks that an incomplete file changes nothing.
func TestImportRefuses(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		source := &program{url: dbtest.SQLiteURL(t)}
		source.ok(t, "run", file(t, "kept.yaml", kept))
		_, text := source.export(t, "--all")
		all := slices.Collect(strings.Lines(text))
		for what, c := range map[string]struct{ text, words string }{
			"another header": {strings.Replace(text, `"sluice_export":2`, `"sluice_export":3`, 1), "it has format 3"},
			"no header":      {strings.Join(all[1:], ""), "not a header"},
			"nothing":        {"", "no trailer"},
			"no trailer":     {strings.Join(all[:len(all)-1], ""), "no trailer"},
			"half a line":    {text[:len(text)-10], "has no end"},
			"a line less":    {strings.Join(append(all[:3:3], all[4:]...), ""), "its trailer counts"},
			"a changed line": {
				strings.Replace(text, "task_started", "task_stalled", 1),
				"not those that its trailer is about",
			},
			"a strange line":  {strings.Replace(text, `{"event":`, `{"evil":`, 1), "of no sort"},
			"after the end":   {text + "{}\n", "comes after the trailer"},
			"another program": {"id,name\n1,2\n", "not a header"},
		} {
			t.Log(what)
			p.fails(t, 2, []string{c.words, "nothing was written"}, "import", file(t, "bad.jsonl", c.text))
		}
		p.nothing(t)
		p.stdin = text
		contains(t, p.ok(t, "import", "-"), "imported 1 execution")
		p.fails(t, 2, []string{"no such file"}, "import", "nowhere.jsonl")
	})
}

// TestImportOfOpenOnes checks that open executions are refused without a flag. With it, running tasks are recovered
// with an event, and run to their end.
func TestImportOfOpenOnes(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		g := newGate()
		source := &program{url: dbtest.SQLiteURL(t), extensions: append(p.extensions, g.option())}
		path := file(t, "gated.yaml", gated)
		s := source.begin(t, "run", path, "--workers", "1")
		<-g.begun
		waiting := source.start(t, file(t, "kept.yaml", kept))
		exported, text := source.export(t, "--all")
		g.open <- nil
		<-g.begun
		g.open <- nil
		if r := s.wait(t); r.code != 0 {
			t.Fatalf("the original: %+v", r)
		}
		source.ok(t, "cancel", waiting)
		if !strings.Contains(text, `"status":"Running","sub_status":"Active"`) {
			t.Fatalf("no task was running:\n%s", text)
		}
		p.extensions = source.extensions
		p.fails(t, 2, []string{"have not ended: 2 of 2", "--include-open"}, "import", exported)
		p.nothing(t)
		contains(t, p.ok(t, "import", exported, "--include-open"), "imported 2 executions", "no breach")
		serve := p.begin(t, "serve")
		for attempt := 1; attempt <= 2; attempt++ {
			<-g.begun
			g.open <- nil
		}
		dbtest.Eventually(t, "the end of both",
			func() bool { return strings.Count(p.run(t, "list").stdout, "Completed") == 2 })
		serve.stop(t)
		contains(t, p.ok(t, "events", "--type", "task_reset"), "task_reset", "was lost")
	})
}

// TestExportCSV checks that CSV holds the events alone, one per line.
func TestExportCSV(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		p.ok(t, "run", file(t, "kept.yaml", kept))
		rows, err := csv.NewReader(strings.NewReader(p.ok(t, "export", "--since", "1h", "-o", "csv"))).ReadAll()
		if err != nil || len(rows) != 13 || rows[0][0] != "sequence_num" || rows[1][4] != "pipeline_started" {
			t.Errorf("%v %v", rows, err)
		}
		if rows, err = csv.NewReader(strings.NewReader(p.ok(t, "export", "--since", "2999-01-01T00:00:00Z", "-o",
			"csv"))).ReadAll(); err != nil || len(rows) != 1 {
			t.Errorf("%v %v", rows, err)
		}
	})
}

// nothing checks that there is no execution.
func (p *program) nothing(t *testing.T) {
	t.Helper()
	if list := decode[listing[execution]](t, p.ok(t, "list", "-o", "json")).Items; len(list) != 0 {
		t.Errorf("there are %d executions", len(list))
	}
}
