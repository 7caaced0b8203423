package audit

import (
	stdcmp "cmp"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

func exec(t testing.TB, d *db.DB, statement string, args db.Args) {
	t.Helper()
	err := d.Transaction(t.Context(), func(tx db.Tx) error {
		_, err := tx.Exec(statement, args)
		return err
	})
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// wide returns a pipeline of independent tasks.
func wide(n int) *sim {
	specs := make([]simSpec, n)
	for i := range specs {
		specs[i].name = fmt.Sprint("t", i)
	}
	return startSim(specs...)
}

func TestPagesOfAllSizesSeeTheSame(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		var sims []*sim
		for _, n := range []int{1, 5, 1, 1, 9, 2, 3, 1} {
			sims = append(sims, wide(n))
		}
		save(t, d, sims...)
		// There are breaches at both ends and in the middle, and tasks and events of missing pipelines before,
		// between and after.
		for _, i := range []int{0, 4, 7} {
			exec(t, d, `UPDATE {pipeline_executions} SET open_tasks = 77 WHERE id = $id`, db.Args{"id": sims[i].pid})
		}
		lost := []*sim{wide(2), sims[3], wide(1)}
		lost[0].pid = dbtype.ID{1}
		save(t, d, lost[0], lost[2])
		for _, s := range lost {
			exec(t, d, `DELETE FROM {pipeline_executions} WHERE id = $id`, db.Args{"id": s.pid})
		}
		want := verify(t, d, Options{})
		if diff := cmp.Diff([]string{"I7 -", "I7 -", "I7 -", "data -", "data -", "data -"},
			names(want.Breaches)); diff != "" {
			t.Errorf("breaches differ (-want +got):\n%s\n%s", diff, want)
		}
		if !strings.Contains(want.String(), "2 tasks and 5 events of a pipeline execution that does not exist") {
			t.Errorf("got\n%s", want)
		}
		for _, size := range [][2]int{{1, 1}, {1, 100}, {2, 3}, {3, 10}, {7, 100}, {8, 2}} {
			a := New(d)
			a.pagePipelines, a.pageTasks = size[0], size[1]
			got, err := a.Verify(t.Context(), Options{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got, cmp.Transformer("breaches", func(b []Violation) map[string]int {
				m := map[string]int{}
				for _, x := range b {
					m[x.String()]++
				}
				return m
			})); diff != "" {
				t.Errorf("pages of %v: report differs (-want +got):\n%s", size, diff)
			}
		}
	})
}

func TestAstray(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s, other := scenarios()["under way"], scenarios()["completed"]
		save(t, d, s, other)
		ghost := dbtype.NewID()
		err := d.Transaction(t.Context(), func(tx db.Tx) error {
			if err := writeQueued(tx, ghost, s.now); err != nil {
				return err
			}
			return writeEvent(tx, s.pid, simEvent{task: ghost, typ: "task_started", version: 1, data: `{}`, at: s.now})
		})
		if err != nil {
			t.Fatal(err)
		}
		exec(t, d, `UPDATE {execution_events} SET pipeline_execution_id = $p WHERE task_execution_id = $t
  AND event_type = 'task_completed'`,
			db.Args{"p": s.pid, "t": other.tasks[0].id})
		r := verify(t, d, Options{})
		if diff := cmp.Diff([]string{"I1 a", "I3 -", "I4 -", "data -"}, names(r.Breaches)); diff != "" {
			t.Errorf("breaches differ (-want +got):\n%s\n%s", diff, r)
		}
		for _, part := range []string{
			"1 event of a task that does not exist", "1 event of a task that belongs to pipeline execution " +
				other.pid.String(),
			"for the task " + ghost.String() + ", which does not exist",
		} {
			if !strings.Contains(r.String(), part) {
				t.Errorf("%q is not in\n%s", part, r)
			}
		}
		if r.OutboxRows != 2 {
			t.Errorf("%d outbox rows", r.OutboxRows)
		}
	})
}

func TestTwoOutboxRowsOfOneTask(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := scenarios()["under way"]
		save(t, d, s)
		// The copy of the table lacks the constraint that prevents the breach.
		exec(t, d, `CREATE TABLE {copy} AS SELECT * FROM {task_outbox}`, nil)
		exec(t, d, `DROP TABLE {task_outbox}`, nil)
		exec(t, d, `CREATE TABLE {task_outbox} AS SELECT * FROM {copy} UNION ALL SELECT * FROM {copy}`, nil)
		r := verify(t, d, Options{})
		if diff := cmp.Diff([]string{"I4 d"}, names(r.Breaches)); diff != "" || r.OutboxRows != 2 || r.Tasks != 4 {
			t.Errorf("breaches differ (-want +got):\n%s\n%s", diff, r)
		}
	})
}

func TestRetainedSummary(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := scenarios()["failed"]
		save(t, d, s)
		retain := func(n int) {
			exec(t, d, `DELETE FROM {execution_events} WHERE pipeline_execution_id = $p`, db.Args{"p": s.pid})
			exec(t, d, `UPDATE {pipeline_executions} SET events_removed = $n WHERE id = $p`,
				db.Args{"p": s.pid, "n": n})
		}
		retain(len(s.events))
		if r := verify(t, d, Options{}); !r.OK() || r.Retained != 1 ||
			!strings.Contains(r.Summary(), "1 execution with a retained summary alone") {
			t.Errorf("got %s", r)
		}
		exec(t, d, `UPDATE {pipeline_executions} SET unsuccessful_tasks = 0 WHERE id = $p`, db.Args{"p": s.pid})
		exec(t, d, `UPDATE {task_executions} SET status = 'Ready' WHERE id = $t`, db.Args{"t": s.task("clean").id})
		r := verify(t, d, Options{})
		if diff := cmp.Diff([]string{"I6 -", "I7 -", "I7 -"}, names(r.Breaches)); diff != "" {
			t.Errorf("breaches differ (-want +got):\n%s\n%s", diff, r)
		}
		retain(len(s.events) - 1)
		r = verify(t, d, Options{})
		if !strings.Contains(r.String(),
			fmt.Sprintf("events_removed %d, and 0 events left of %d transitions", len(s.events)-1, len(s.events))) {
			t.Errorf("got %s", r)
		}
	})
}

func TestEverySortOfGarbageIsABreachAndNoError(t *testing.T) {
	garbage := []string{
		`NULL`, `''`, `'abc'`, `-1`, `1e300`, `9223372036854775807`, `-9223372036854775808`, `x'00ff'`,
		`zeroblob(16)`, `'` + strings.Repeat("z", 300) + `'`,
	}
	columns := map[string][]string{
		"pipeline_executions": {
			"id", "pipeline_name", "definition_version", "status", "version", "error", "open_tasks",
			"unsuccessful_tasks", "events_removed", "created_at", "completed_at", "paused_at", "outputs_removed_at",
			"seal", "former_seal", "sealed_version", "reserved_for", "attempt",
		},
		"task_executions": {
			"id", "pipeline_execution_id", "task_name", "handler", "status", "sub_status", "version", "attempt",
			"max_attempts",
			"remaining_dependencies", "worker_id", "retry_at", "recoveries", "skip_reason", "error", "error_kind",
			"created_at", "started_at", "completed_at",
		},
		"execution_events": {
			"pipeline_execution_id", "task_execution_id", "event_type", "version", "event_data",
			"worker_id", "created_at",
		},
		"task_outbox": {"task_execution_id", "handler", "available_at"},
	}
	d := dbtest.SQLite(t) // SQLite's columns accept any value without their constraints
	for table := range columns {
		exec(t, d, `CREATE TABLE {copy} AS SELECT * FROM {`+table+`}`, nil)
		exec(t, d, `DROP TABLE {`+table+`}`, nil)
		exec(t, d, `CREATE TABLE {`+table+`} AS SELECT * FROM {copy}`, nil)
		exec(t, d, `DROP TABLE {copy}`, nil)
	}
	checked := 0
	for table, list := range columns {
		for _, column := range list {
			for _, value := range garbage {
				save(t, d, scenarios()[stdcmp.Or(scenarioWith[column], "under way")])
				row := `(SELECT max(rowid) FROM {` + table + `} WHERE ` + column + ` IS NOT NULL)`
				if table == "execution_events" {
					row = `(SELECT max(rowid) FROM {execution_events} WHERE ` + column +
						` IS NOT NULL AND event_type <> 'annotation')`
				}
				exec(t, d, `UPDATE {`+table+`} SET `+column+` = `+value+` WHERE rowid = `+row, nil)
				if r := verify(t, d, Options{}); r.OK() {
					t.Errorf("%s.%s = %s is not found", table, column, value)
				}
				checked++
				for table := range columns {
					exec(t, d, `DELETE FROM {`+table+`}`, nil)
				}
			}
		}
	}
	if checked < 200 {
		t.Errorf("only %d values were tried", checked)
	}
}

// scenarioWith names a scenario in which a column is not null that is null in most.
var scenarioWith = map[string]string{"error": "failed", "completed_at": "failed", "paused_at": "paused"}

func TestATenantIsVerifiedAlone(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		ctx := db.WithTenant(t.Context(), "select") // a keyword, on purpose
		if err := d.CreateTenant(ctx); err != nil {
			t.Fatal(err)
		}
		s := scenarios()["under way"]
		save(t, d, s)
		s.version++ // in the tenant, and only there, the row is ahead of its events
		if err := d.Transaction(ctx, s.write); err != nil {
			t.Fatal(err)
		}
		if r := verify(t, d, Options{}); !r.OK() {
			t.Errorf("default tenant: %s", r)
		}
		r, err := New(d).Verify(ctx, Options{})
		if err != nil || cmp.Diff([]string{"I1 -"}, names(r.Breaches)) != "" {
			t.Errorf("tenant: %v\n%s", err, r)
		}
	})
}
