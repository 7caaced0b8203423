package taskstore

import (
	"strings"
	"testing"

	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// TestUpdatesFindRowsByKey: no update of tasks reads the whole table, however many rows it is for.
func TestUpdatesFindRowsByKey(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		now := dbtype.NewTime(d.Now())
		task := tasks.Task{
			ID: dbtype.NewID(), Status: tasks.Running, Version: 4, WorkerID: "w", StartedAt: now,
			MaxAttempts: 2, Attempt: 1,
		}
		for name, m := range map[string]*tasks.Change{
			"complete": task.Complete(nil, nil, now), "fail": task.Fail(tasks.KindError, "x", nil, now),
			"retry": task.ScheduleRetry(tasks.KindError, "x", nil, 1, now),
			"defer": task.Defer(now, "x", now), "recover": task.Recover(now), "release": task.Release("x", now),
			"cancel": task.Cancel("x", now), "abandon": tasks.NewChange(task).Abandon("x", now),
		} {
			for _, n := range []int{1, 2, 64, 256, 2000} {
				u := updateFor(m.Steps)
				group := make([]*tasks.Change, n)
				ids, versions, since := make([]dbtype.ID, n), make([]int64, n), make([]dbtype.Time, n)
				for i := range group {
					group[i], ids[i], versions[i], since[i] = m, dbtype.NewID(), int64(i), now
				}
				set := db.IDRows(ids).Ints("version", versions)
				if u.fenced {
					set.Times("since", since)
				}
				rows := make([]*tasks.Task, n)
				for i := range rows {
					rows[i] = &group[i].Task
				}
				plan := explain(t, d, u.sql, db.Args{"x": u.columns.AddTo(set.WriteOnly(), rows), "holder": "w"})
				if strings.Contains(plan, "SCAN t\n") || strings.Contains(plan, "SCAN t ") ||
					strings.Contains(plan, "Seq Scan") || plan == "" {
					t.Errorf("%s of %d:\n%s", name, n, plan)
				}
			}
		}
	})
}

// TestLoadingFindsRowsByKey: the tasks of many executions are read by an index.
func TestLoadingFindsRowsByKey(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		for _, n := range []int{1, 64, 500, 2000} {
			ids := make([]dbtype.ID, n)
			for i := range ids {
				ids[i] = dbtype.NewID()
			}
			plan := explain(t, d, loadExecutionTasks, db.Args{"x": db.IDRows(ids)})
			if strings.Contains(plan, "SCAN t\n") || strings.Contains(plan, "Seq Scan") || plan == "" {
				t.Errorf("of %d:\n%s", n, plan)
			}
		}
	})
}

// explain returns the plan of a statement.
func explain(t *testing.T, d *db.DB, statement string, args db.Args) string {
	t.Helper()
	var plan strings.Builder
	how := "EXPLAIN "
	if d.Backend() == "sqlite" {
		how += "QUERY PLAN "
	}
	err := d.Transaction(t.Context(), func(tx db.Tx) error {
		plan.Reset()
		return tx.Query(how+statement, args, func(scan db.Scan) error {
			var line string
			var a, b, c int64
			err := scan(&line)
			if d.Backend() == "sqlite" {
				err = scan(&a, &b, &c, &line)
			}
			plan.WriteString(line + "\n")
			return err
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return plan.String()
}
