package app_test

import (
	"maps"
	"strings"
	"testing"

	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// TestSealNamesWhatWasChanged checks that verify names each part of a sealed execution that was changed and that no
// fold can detect, and that the old value makes it valid again.
func TestSealNamesWhatWasChanged(t *testing.T) {
	t.Parallel()
	for backend, url := range map[string]func(testing.TB) string{
		"sqlite":   dbtest.SQLiteURL,
		"postgres": dbtest.PostgresURL,
	} {
		t.Run(backend, func(t *testing.T) {
			t.Parallel()
			p := &program{url: url(t)}
			execution := p.sealedRun(t)
			d := dbtest.Open(t, p.url)
			p.formOne(t, d, execution)
			for _, c := range tamperings() {
				p.tampered(t, d, execution, c)
			}
			p.sealKept(t)
		})
	}
}

// sealedRun returns a sealed run with an input, a key, labels, outputs and a retry.
func (p *program) sealedRun(t *testing.T) (execution string) {
	t.Helper()
	path := file(t, "paid.yaml", `name: paid
labels: {team: data}
input: {amount: {type: number}}
defaults: {retry: {max_attempts: 1}}
tasks:
  - {id: a, run: "echo '{\"n\": 1}' > $SLUICE_OUTPUT"}
  - {id: b, needs: [a], run: "echo '{\"n\": 2}' > $SLUICE_OUTPUT"}
  - {id: c, needs: [b], run: "true"}
`)
	p.ok(t, "seal", "--on")
	p.ok(t, "start", path, "--set", "amount=1.10", "--idempotency-key", "monday", "--label", "env=prod")
	execution = p.newest(t).Execution.ID
	s := p.begin(t, "serve")
	dbtest.Eventually(t, "the seal", func() bool { return p.sealOf(t, execution).Execution.Seal != nil })
	s.stop(t)
	if x := p.sealOf(t, execution); p.recomputed(t, x) != *x.Execution.Seal {
		t.Errorf("recomputed %s, sealed %s", p.recomputed(t, x), *x.Execution.Seal)
	}
	contains(t, p.ok(t, "verify", execution), "no breach", "covers:",
		"input, outputs, definition, idempotency key and labels of 1 execution with a seal of form 2",
		"each event of 1 execution with a seal", "does not cover: logs")
	return execution
}

// tampering is a statement, what verify says about it, and the statement that undoes it, which may be empty.
type tampering struct{ change, says, undo string }

// documents are what tamperings write, as arguments of their statements.
var documents = db.Args{
	"one": dbtype.JSON(`{"n": 1}`), "two": dbtype.JSON(`{"n": 2}`), "three": dbtype.JSON(`{"n": 3}`),
	"paid": dbtype.JSON(`{"amount": 1.10}`), "less": dbtype.JSON(`{"amount": 1.1}`),
	"empty": dbtype.JSON(`{"name": "paid", "tasks": []}`),
}

func tamperings() []tampering {
	task := func(set, name string) string {
		return `UPDATE {task_executions} SET output = ` + set + ` WHERE pipeline_execution_id = $p AND task_name = '` +
			name + `'`
	}
	run := func(set string) string { return `UPDATE {pipeline_executions} SET ` + set + ` WHERE id = $p` }
	event := func(actor string) string {
		return `UPDATE {execution_events} SET actor = ` + actor +
			` WHERE pipeline_execution_id = $p AND event_type = 'pipeline_completed'`
	}
	label := func(from, to string) string {
		return `UPDATE {execution_labels} SET value = '` + to + `' WHERE pipeline_execution_id = $p AND value = '` +
			from + `'`
	}
	return []tampering{
		{task(`$three`, "a"), "task a (", task(`$one`, "a")},
		{task(`$three`, "b"), "the output was changed: it has the hash ", task(`$two`, "b")},
		{task(`$three`, "c"), "was added", task("NULL", "c")},
		{task("NULL", "a"), "the output is missing, and retention has not removed it", task(`$one`, "a")},
		{run(`input = $less`), "the input was changed", run(`input = $paid`)},
		{run(`input = NULL`), "the input was changed: it is null", run(`input = $paid`)},
		{
			run(`idempotency_key = 'sunday'`), `the idempotency key was changed: it is "sunday"`,
			run(`idempotency_key = 'monday'`),
		},
		{label("prod", "test"), `the set of labels was changed: it is "env=test team=data"`, label("test", "prod")},
		{event(`'somebody else'`), "the history was changed", event(`NULL`)},
		{
			run(`seal_parts = replace(seal_parts, 'env', 'enw')`), "the hash of seal_parts",
			run(`seal_parts = replace(seal_parts, 'enw', 'env')`),
		},
		{run(`former_seal = 'f00d'`), `former_seal "f00d"`, run(`former_seal = NULL`)},
		{
			`UPDATE {pipeline_definitions} SET definition = $empty`, "the definition was changed", ``,
		},
	}
}

// formOne checks that a seal of an earlier release covers only the history, and is verified as such.
func (p *program) formOne(t *testing.T, d *db.DB, execution string) {
	t.Helper()
	x := p.sealOf(t, execution)
	former := sha(plain(t, []any{
		"sluice-seal/1", x.Execution.ID, x.Execution.PipelineName,
		x.Execution.DefinitionVersion, x.Execution.Version, nil,
	}) +
		"\n" + p.eventHashes(t, x))
	args := db.Args{"p": id(t, execution), "former": former, "seal": *x.Execution.Seal, "parts": x.Execution.SealParts}
	mustExec(t, d, `UPDATE {pipeline_executions} SET seal = $former, seal_parts = NULL WHERE id = $p`, args)
	contains(t, p.ok(t, "verify", execution), ", 1 seal: no breach", "each event of 1 execution with a seal",
		"input, outputs, idempotency key and labels of 1 execution without a seal of form 2")
	mustExec(t, d, `UPDATE {execution_events} SET worker_id = 'x' WHERE pipeline_execution_id = $p
  AND event_type = 'task_completed'`, args)
	contains(t, p.run(t, "verify", execution).stdout, "seal sealed", "as its events give it")
	mustExec(t, d, `UPDATE {execution_events} SET worker_id = (SELECT e.worker_id FROM {execution_events} AS e
  WHERE e.pipeline_execution_id = $p
  AND e.event_type = 'task_claimed' LIMIT 1) WHERE pipeline_execution_id = $p AND event_type = 'task_completed'`, args)
	mustExec(t, d, `UPDATE {pipeline_executions} SET seal = $seal, seal_parts = $parts WHERE id = $p`, args)
	contains(t, p.ok(t, "verify", execution), "no breach")
}

func (p *program) tampered(t *testing.T, d *db.DB, execution string, c tampering) {
	t.Helper()
	args := maps.Clone(documents)
	args["p"] = id(t, execution)
	mustExec(t, d, c.change, args)
	r := p.run(t, "verify", execution)
	if r.code != 1 || !strings.Contains(r.stdout, "seal sealed · pipeline execution "+execution) ||
		!strings.Contains(r.stdout, c.says) {
		t.Errorf("%s: exit code %d, expected %q in\n%s", c.change, r.code, c.says, r.stdout)
	}
	if c.undo != "" {
		mustExec(t, d, c.undo, args)
		contains(t, p.ok(t, "verify", execution), "no breach")
	}
}

// sealKept checks that an export carries the seals to another database, and that what retention removes is explained.
func (p *program) sealKept(t *testing.T) {
	t.Helper()
	whole := &program{url: dbtest.SQLiteURL(t)}
	execution := whole.sealedRun(t)
	text := whole.ok(t, "export", execution)
	other := &program{url: dbtest.SQLiteURL(t)}
	changed := resealed(strings.Replace(text, `"output":{"n":1}`, `"output":{"n":7}`, 1))
	r := other.run(t, "import", file(t, "changed.jsonl", changed))
	if r.code != 1 || !strings.Contains(r.stdout, "the output was changed") ||
		!strings.Contains(r.stdout, "nothing was imported") {
		t.Errorf("%+v", r)
	}
	p.url = dbtest.PostgresURL(t)
	contains(t, p.ok(t, "import", file(t, "sealed.jsonl", text)), "no breach")
	contains(t, p.ok(t, "verify", execution), ", 1 seal", "1 execution with a seal of form 2")
	if again := p.ok(t, "export", execution); again != text {
		t.Errorf("the export of the copy differs:\n%s%s", text, again)
	}
	for _, q := range []*program{p, whole} {
		before := q.ok(t, "verify", "--print-root")
		q.ok(t, "cleanup", "--retain-outputs", "1ms")
		contains(t, q.ok(t, "verify"), "1 execution without outputs", "no breach", "who removed outputs")
		q.ok(t, "cleanup", "--retain-events", "1ms")
		contains(t, q.ok(t, "verify"), "retained summary", "1 execution with a seal of form 2", "no breach")
		d := dbtest.Open(t, q.url)
		args := db.Args{"p": id(t, execution), "doc": dbtype.JSON(`{"n": 9}`)}
		mustExec(t, d, `UPDATE {pipeline_executions} SET idempotency_key = 'x' WHERE id = $p`, args)
		contains(t, q.run(t, "verify").stdout, "the idempotency key was changed")
		mustExec(t, d, `UPDATE {pipeline_executions} SET idempotency_key = 'monday' WHERE id = $p`, args)
		mustExec(t, d,
			`UPDATE {task_executions} SET output = $doc WHERE pipeline_execution_id = $p AND task_name = 'b'`, args)
		contains(t, q.run(t, "verify").stdout, "the output was changed")
		mustExec(t, d,
			`UPDATE {task_executions} SET output = NULL WHERE pipeline_execution_id = $p AND task_name = 'b'`, args)
		if after := q.ok(t, "verify", "--print-root"); after != before {
			t.Errorf("the root changed with retention:\n%s%s", before, after)
		}
	}
}
