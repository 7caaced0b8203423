package app_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/fx"

	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
)

type tenantRow struct {
	Tenant        string
	SchemaVersion int64 `json:"schema_version"`
	State         string
	OpenRuns      *int64 `json:"open_runs"`
	SizeBytes     int64  `json:"size_bytes"`
}

func (p *program) tenantList(t *testing.T) (names []string, rows map[string]tenantRow) {
	t.Helper()
	rows, names = map[string]tenantRow{}, []string{}
	for _, r := range decode[listing[tenantRow]](t, p.ok(t, "tenants", "list", "-o", "json")).Items {
		rows[r.Tenant], names = r, append(names, r.Tenant)
	}
	return names, rows
}

// TestTenants checks that tenants are created, listed, and dropped only if they are not in use.
func TestTenants(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		g := newGate()
		p.extensions = []fx.Option{g.option()}
		acme := p.of("acme")
		acme.fails(t, 3, []string{`no such tenant "acme"`, "`sluice tenants create acme` makes it"}, "list")
		p.fails(t, 3, []string{`no such tenant "acme"`}, "tenants", "drop", "acme", "--yes")
		contains(t, p.ok(t, "tenants", "create", "globex", "acme"), "TENANT", "acme", "globex", "current")
		p.ok(t, "tenants", "create", "acme") // a second time is not an error
		names, rows := p.tenantList(t)
		if diff := cmp.Diff([]string{"default", "acme", "globex"}, names); diff != "" {
			t.Error(diff)
		}
		if r := rows["acme"]; r.State != "current" || r.SchemaVersion < 1 || r.OpenRuns == nil || *r.OpenRuns != 0 ||
			r.SizeBytes < 1 {
			t.Errorf("acme: %+v", r)
		}
		id := acme.start(t, file(t, "gated.yaml", gated))
		contains(t, p.ok(t, "tenants", "list"), "OPEN RUNS", "KiB")
		if _, rows := p.tenantList(t); *rows["acme"].OpenRuns != 1 || *rows["globex"].OpenRuns != 0 {
			t.Errorf("open runs: %v", rows)
		}
		p.fails(t, 2, []string{"it has 1 open run and 0 live workers", "--force"}, "tenants", "drop", "acme", "--yes")
		acme.ok(t, "pause", id)
		p.fails(t, 2, []string{"1 open run"}, "tenants", "drop", "acme", "--yes")
		acme.ok(t, "cancel", id)
		serve := acme.begin(t, "serve")
		dbtest.Eventually(t, "it serves", func() bool { return strings.Contains(acme.ok(t, "workers"), "ends in") })
		p.fails(t, 2, []string{"it has 0 open runs and 1 live worker"}, "tenants", "drop", "acme", "--yes")
		serve.stop(t)
		if got := p.ok(t, "tenants", "drop", "acme", "--yes"); got != "dropped acme\n" {
			t.Errorf("said %q", got)
		}
		acme.fails(t, 3, []string{"no such tenant"}, "show", id)
		p.fails(t, 3, []string{"no such tenant"}, "tenants", "drop", "acme", "--yes")
		p.of("globex").start(t, file(t, "gated.yaml", gated))
		if got := p.ok(t, "tenants", "drop", "globex", "--yes", "--force", "-o", "json"); !strings.Contains(got,
			`"dropped": true`) {
			t.Errorf("said %q", got)
		}
		if names, _ := p.tenantList(t); len(names) != 1 || names[0] != "default" {
			t.Errorf("left: %v", names)
		}
		p.ok(t, "tenants", "create", "acme")
		if got := acme.events(t); len(got) != 0 {
			t.Errorf("the new tenant has a history: %v", got)
		}
	})
}

// TestHostileTenants checks that odd names are refused or used literally, and that nothing is created or removed
// under another name.
func TestHostileTenants(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		p.ok(t, "tenants", "create", "acme")
		for _, name := range []string{
			"", "default", "public", "pg_catalog", "pg_toast", "information_schema", "all", "Acme", "../acme",
			"acme/../acme", `acme"`, "acme'", "acme;",
			`x"; DROP SCHEMA acme CASCADE; --`, "acme\x00", "acme\n", "аcme", "ａcme", "acme ", "-acme", "acme.db",
			"1acme", strings.Repeat("a", 41), strings.Repeat("b", 100_000),
		} {
			for _, args := range [][]string{
				{"tenants", "create", "fine", "--", name},
				{"tenants", "drop", "--yes", "--force", "--", name},
			} {
				r := p.run(t, args...)
				if r.code != 2 || len(r.stderr) > 500 {
					t.Errorf("%.60q: exit code %d\n%.600s", args, r.code, r.stderr)
				}
			}
			if name == "" || name == "default" {
				continue // the default tenant
			}
			if r := p.of(name).run(t, "list"); r.code != 2 {
				t.Errorf("--tenant %.60q: exit code %d\n%.600s", name, r.code, r.stderr)
			}
			if strings.TrimSpace(name) == "acme" {
				continue // between commas it is a name
			}
			if r := p.run(t, "serve", "--tenants", "acme,"+name); r.code != 2 {
				t.Errorf("--tenants %.60q: exit code %d\n%.600s", name, r.code, r.stderr)
			}
		}
		if names, _ := p.tenantList(t); strings.Join(names, " ") != "default acme" {
			t.Errorf("there are %v", names)
		}
		p.fails(t, 2, []string{"exclude each other"}, "serve", "--tenants", "all", "--tenant", "acme")
		p.fails(t, 3, []string{"`sluice tenants create nobody` makes it"}, "serve", "--tenants", "acme,nobody")
		p.fails(t, 2, []string{`unknown command "tenants make"`}, "tenants", "make")
		p.fails(t, 2, []string{"needs the name of a tenant"}, "tenants", "create")
		p.fails(t, 2, []string{"takes no ids"}, "verify", "--all-tenants", nobody)
	})
}

const same = `
name: same
input: {who: {type: string, required: true}}
tasks:
  - {id: first, uses: tell, with: {who: "${{ input.who }}"}}
  - {id: second, needs: [first], uses: tell, with: {who: "${{ needs.first.who }}"}}
`

// tellOption provides a handler that returns its input.
func tellOption() fx.Option {
	type who struct {
		Who string `json:"who"`
	}
	return tasks.ProvideHandler(func() tasks.Handler {
		return tasks.NewHandler("tell", func(_ context.Context, in who) (who, error) { return in, nil })
	})
}

func pipelinesDir(t *testing.T, texts ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i, text := range texts {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("p%d.yaml", i)), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestTwentyTenants runs the same pipelines, keys and tasks in twenty tenants at the same time, with one serving
// process. Every command must show each tenant only its own runs, and refuse another tenant's id.
func TestTwentyTenants(t *testing.T) {
	t.Parallel()
	const n = 20
	each(t, func(t *testing.T, p *program) {
		p.extensions = []fx.Option{tellOption()}
		name := func(i int) string { return fmt.Sprintf("t%02d", i%n) }
		args := []string{"tenants", "create"}
		for i := range n {
			args = append(args, name(i))
		}
		p.ok(t, args...)
		serve := p.begin(t, "serve", "--tenants", "all", "--pipelines", pipelinesDir(t, same), "--workers", "8")
		runs := map[string]string{}
		for i := range n {
			q := p.of(name(i))
			start := []string{"start", "same", "--idempotency-key", "k", "--set", "who=" + name(i)}
			dbtest.Eventually(t, "the pipeline is registered",
				func() bool { return q.run(t, "start", "none").code == 3 && q.run(t, start...).code == 0 })
			runs[name(i)] = q.start(t, start[1:]...) // the same one, by its key
		}
		for i := range n {
			q := p.of(name(i))
			dbtest.Eventually(t, "the run completes",
				func() bool { return q.show(t, runs[name(i)]).Execution.Status == "Completed" })
		}
		for i := range n {
			p.of(name(i)).seesOnly(t, name(i), runs[name(i)], runs[name(i+1)])
		}
		if r := serve.stop(t); r.code != 0 || strings.Contains(r.stderr, `"level":"error"`) ||
			strings.Contains(r.stderr, `"level":"warn"`) {
			t.Errorf("exit code %d\n%s", r.code, r.stderr)
		}
		reports := decode[listing[struct {
			Tenant     string
			Executions int
			Breaches   []any
		}]](t, p.ok(t, "verify", "--all-tenants", "-o", "json")).Items
		if len(reports) != n+1 {
			t.Errorf("%d reports", len(reports))
		}
		for _, r := range reports[1:] {
			if r.Executions != 1 || len(r.Breaches) != 0 {
				t.Errorf("verify: %+v", r)
			}
		}
	})
}

// seesOnly checks that every command of a tenant with one run shows only that run. stranger is another tenant's run.
func (p *program) seesOnly(t *testing.T, tenant, own, stranger string) {
	t.Helper()
	list := decode[listing[execution]](t, p.ok(t, "list", "-o", "json")).Items
	if len(list) != 1 || list[0].ID != own {
		t.Errorf("%s lists %+v", tenant, list)
	}
	doc := p.show(t, own)
	for _, x := range doc.Tasks {
		if !strings.Contains(string(x.Output), `"`+tenant+`"`) {
			t.Errorf("%s: output of %s: %s", tenant, x.TaskName, x.Output)
		}
	}
	workersOf := map[string]bool{}
	for _, e := range p.events(t) {
		if e.PipelineExecutionID != own {
			t.Errorf("%s has an event of %s", tenant, e.PipelineExecutionID)
		}
		if e.WorkerID != nil {
			workersOf[*e.WorkerID] = true
		}
	}
	if rows := decode[listing[any]](t, p.ok(t, "outbox", "-o", "json")).Items; len(rows) != 0 {
		t.Errorf("%s has in its outbox %v", tenant, rows)
	}
	fleet := decode[listing[struct{ ID string }]](t, p.ok(t, "workers", "-o", "json")).Items
	if len(fleet) != 1 || len(workersOf) != 1 || !workersOf[fleet[0].ID] {
		t.Errorf("%s has the workers %v, and its events %v", tenant, fleet, workersOf)
	}
	if !strings.HasSuffix(tenant, "0") {
		return // the rest is the same for all tenants
	}
	for _, args := range [][]string{
		{"show", stranger},
		{"pause", stranger},
		{"resume", stranger},
		{"cancel", stranger},
		{"retry", stranger},
		{"verify", stranger},
		{"annotate", stranger, "--data", "{}"},
	} {
		if r := p.run(t, args...); r.code != 3 {
			t.Errorf("%s: %v of another tenant's run: exit code %d\n%s", tenant, args, r.code, r.stderr)
		}
	}
	if r := p.run(t, "events", "--pipeline-execution", stranger, "-o", "json"); r.code != 3 &&
		strings.TrimSpace(r.stdout) != "[]" {
		t.Errorf("%s: events of another tenant's run: exit code %d\n%s", tenant, r.code, r.stdout)
	}
}

// TestServeTenantsComeAndGo creates and drops tenants while a process serves all.
func TestServeTenantsComeAndGo(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		g := newGate()
		p.extensions = []fx.Option{g.option(), tellOption()}
		dir := pipelinesDir(t, same, gated)
		serve := p.begin(t, "serve", "--tenants", "all", "--pipelines", dir, "--listen", ":0", "--workers", "2")
		for round := range 2 {
			p.ok(t, "tenants", "create", "acme", "globex")
			globex := p.of("globex")
			dbtest.Eventually(t, "it is served", func() bool {
				return strings.Contains(p.of("acme").run(t, "workers").stdout, "ends in") &&
					strings.Contains(globex.run(t, "workers").stdout, "ends in")
			})
			held := p.of("acme").start(t, "gated")
			<-g.begun
			address := listening.FindStringSubmatch(serve.stderr.String())[1]
			var status int
			var body string
			dbtest.Eventually(t, "no slot is reserved beside the one in use", func() bool {
				status, body = ask(t, address, "/metrics")
				return strings.Contains(body, `sluice_slots{state="used"} 1`)
			})
			contains(t, body, `sluice_slots_used{tenant="acme"} 1`, `sluice_tasks_claimed_total{tenant="acme"} 1`,
				`sluice_outbox_pending{tenant="globex"} 0`, `sluice_slots{state="used"} 1`)
			if ready, report := ask(t, address, "/readyz"); status != http.StatusOK || ready != http.StatusOK {
				t.Errorf("/metrics %d, /readyz %d %s", status, ready, report)
			}
			p.fails(t, 2, []string{"1 open run and 1 live worker"}, "tenants", "drop", "acme", "--yes")
			p.of("acme").ok(t, "show", held)
			p.ok(t, "tenants", "drop", "acme", "--yes", "--force")
			dbtest.Eventually(t, "the log tells",
				func() bool {
					return strings.Count(serve.stderr.String(),
						`"msg":"tenant no longer exists`) == round+1
				})
			id := globex.start(t, "same", "--set", "who=globex")
			dbtest.Eventually(t, "the others go on",
				func() bool { return globex.show(t, id).Execution.Status == "Completed" })
			if _, body := ask(t, address, "/metrics"); strings.Contains(body, `tenant="acme"`) {
				t.Errorf("metrics of a dropped tenant:\n%s", body)
			}
			if ready, report := ask(t, address, "/readyz"); ready != http.StatusOK {
				t.Errorf("/readyz: %d %s", ready, report)
			}
		}
		if r := serve.stop(t); r.code != 0 {
			t.Errorf("exit code %d\n%s", r.code, r.stderr)
		}
		contains(t, p.ok(t, "verify", "--all-tenants"), "tenant default: checked",
			"tenant globex: checked 2 pipeline executions")
	})
}

// TestServeEndsWithItsTenant checks that a process that serves one tenant ends when that tenant is dropped.
func TestServeEndsWithItsTenant(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		p.ok(t, "tenants", "create", "acme")
		acme := p.of("acme")
		serve := acme.begin(t, "serve")
		dbtest.Eventually(t, "it serves", func() bool { return strings.Contains(acme.ok(t, "workers"), "ends in") })
		p.ok(t, "tenants", "drop", "acme", "--yes", "--force")
		if r := serve.wait(t); r.code != 3 || !strings.Contains(r.stderr, "`sluice tenants create acme` makes it") {
			t.Errorf("exit code %d\n%s", r.code, r.stderr)
		}
	})
}

// TestMigrateAllTenants checks that tenants that are behind are reported and refused until they are migrated, while
// the others are served.
func TestMigrateAllTenants(t *testing.T) {
	t.Parallel()
	p := &program{url: dbtest.EmptyPostgresURL(t), extensions: []fx.Option{tellOption()}}
	p.ok(t, "tenants", "create", "behind", "fit")
	d := dbtest.Open(t, p.url)
	behind := db.WithTenant(t.Context(), "behind")
	set := func(statement string) {
		t.Helper()
		err := d.Transaction(behind, func(tx db.Tx) error {
			_, err := tx.Exec(statement, nil)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	set(`DELETE FROM {goose_db_version} WHERE version_id > 0`)
	contains(t, p.ok(t, "tenants", "list"), "behind   0       behind", "default  0       unused", "fit")
	contains(t, p.ok(t, "migrate", "status", "--all-tenants"), "database schema is behind", "up to date")
	serve := p.begin(t, "serve", "--tenants", "all", "--pipelines", pipelinesDir(t, same))
	fit := p.of("fit")
	dbtest.Eventually(t, "the other is served",
		func() bool { return strings.Contains(fit.run(t, "workers").stdout, "ends in") })
	dbtest.Eventually(t, "the log tells", func() bool {
		return strings.Contains(serve.stderr.String(),
			`"msg":"the tenant is not served","tenant":"behind","error":"database schema is behind`)
	})
	p.fails(t, 4, []string{"tenant behind: database schema is behind"}, "verify", "--all-tenants")
	set(`DROP TABLE {workers}, {task_outbox}, {task_executions}, {pipeline_executions}, {execution_events}, ` +
		`{log_chunks}, {pipeline_definitions}, {chores}, {removed_events}, {recoveries}, {run_ends}, ` +
		`{execution_labels}`)
	if got := decode[listing[struct{ Tenant string }]](t, p.ok(t, "migrate", "--all-tenants", "-o", "json")).
		Items; len(got) != 2 {
		t.Errorf("migrated: %v", got)
	}
	late := p.of("behind")
	dbtest.Eventually(t, "it is served",
		func() bool { return strings.Contains(late.run(t, "workers").stdout, "ends in") })
	serve.stop(t)
	contains(t, p.ok(t, "verify", "--all-tenants"), "tenant behind: checked", "tenant fit: checked")
}
