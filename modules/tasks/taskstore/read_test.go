package taskstore_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/modules/tasks/taskstore"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// family writes three tasks of one execution: the first Completed with an output, the second Running, the third
// NotStarted.
func family(t *testing.T, d *db.DB) []tasks.Task {
	t.Helper()
	pipeline := dbtype.NewID()
	out := make([]tasks.Task, 3)
	for i, name := range []string{"a", "b", "c"} {
		m := newTask(name)
		m.Task.PipelineExecutionID = pipeline
		if err := apply(t, d, m); err != nil {
			t.Fatal(err)
		}
		out[i] = m.Task
	}
	out[0] = must(t, d, stored(t, d, out[0].ID), makers[tasks.TransitionMarkReady.Name],
		makers[tasks.TransitionClaim.Name], makers[tasks.TransitionComplete.Name])
	out[1] = must(t, d, stored(t, d, out[1].ID), makers[tasks.TransitionMarkReady.Name],
		makers[tasks.TransitionClaim.Name])
	out[2] = stored(t, d, out[2].ID)
	return out
}

func sortByName(list []tasks.Task) []tasks.Task {
	slices.SortFunc(list, func(a, b tasks.Task) int { return int(a.TaskName[0]) - int(b.TaskName[0]) })
	return list
}

// without is the tasks as moves read them: all but the output.
func without(list []tasks.Task) []tasks.Task {
	out := slices.Clone(list)
	for i := range out {
		out[i].Output = nil
	}
	return out
}

// TestReads: by id, by execution, by name; what does not exist is left out, and an output is read only by who asks for
// it.
func TestReads(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r, own := repository(d), family(t, d)
		family(t, d)
		pipeline, nobody := own[0].PipelineExecutionID, dbtype.NewID()
		same := func(what string, want, got []tasks.Task, err error) {
			t.Helper()
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			if diff := cmp.Diff(want, sortByName(got)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", what, diff)
			}
		}
		list, err := r.ListByPipeline(t.Context(), pipeline)
		same("list", own, list, err)
		err = d.Transaction(t.Context(), func(tx db.Tx) error {
			b := tx.Batch()
			byID := r.Load(b, []dbtype.ID{own[2].ID, nobody, own[0].ID})
			byKey := r.LoadByKey(b, []tasks.Key{
				{PipelineExecutionID: pipeline, TaskName: "b"},
				{PipelineExecutionID: pipeline, TaskName: "z"},
			})
			err := b.Send()
			same("by id", without([]tasks.Task{own[0], own[2]}), *byID, err)
			same("by name", own[1:2], *byKey, err)
			list, err := r.LoadByExecution(tx, []dbtype.ID{nobody, pipeline})
			same("by execution", without(own), list, err)
			outputs, err := r.Outputs(tx, []tasks.Key{
				{PipelineExecutionID: pipeline, TaskName: "a"},
				{PipelineExecutionID: pipeline, TaskName: "b"},
			})
			if want := map[tasks.Key]dbtype.JSON{
				{PipelineExecutionID: pipeline, TaskName: "a"}: dbtype.JSON(`{"a": 1}`),
			}; err == nil {
				if diff := cmp.Diff(want, outputs); diff != "" {
					t.Errorf("outputs (-want +got):\n%s", diff)
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		found, err := r.Find(t.Context(), []dbtype.ID{own[1].ID, nobody})
		if diff := cmp.Diff(map[dbtype.ID]tasks.Task{own[1].ID: own[1]}, found); diff != "" || err != nil {
			t.Errorf("find (%v) (-want +got):\n%s", err, diff)
		}
		if _, err := r.Get(t.Context(), nobody); !errors.Is(err, tasks.ErrNotFound) {
			t.Errorf("get: %v, expected %v", err, tasks.ErrNotFound)
		}
	})
}

// TestMoved names the claims that are lost: another version, another worker, another claim of the same one, or no row
// any more; and those whose tasks have been cancelled.
func TestMoved(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		own, nobody := family(t, d), dbtype.NewID()
		claims := []tasks.Task{
			own[0], own[1], own[0], own[0],
			{ID: nobody, Version: 1, WorkerID: "w", StartedAt: dbtype.NewTime(d.Now())},
		}
		claims[1].Version--
		claims[2].WorkerID = "another"
		claims[3].StartedAt = dbtype.NewTime(claims[3].StartedAt.Add(time.Microsecond))
		err := d.Transaction(t.Context(), func(tx db.Tx) error {
			_, err := tx.Exec(`UPDATE {task_executions} SET status = 'Cancelled' WHERE id = $id`,
				db.Args{"id": own[1].ID})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		got, err := repository(d).StaleVersions(t.Context(), claims)
		if err != nil {
			t.Fatal(err)
		}
		slices.SortFunc(got, func(a, b taskstore.StaleClaim) int { return a.Place - b.Place })
		if diff := cmp.Diff([]taskstore.StaleClaim{{1, true}, {2, false}, {3, false}, {4, false}}, got); diff != "" {
			t.Errorf("moved (-want +got):\n%s", diff)
		}
	})
}

// TestCountDependencies writes counters and nothing else: no version rises.
func TestCountDependencies(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		own := family(t, d)
		err := d.Write(t.Context(), func(b *db.Batch) error {
			repository(d).CountDependencies(b, []tasks.DependencyCount{{ID: own[2].ID, Ended: -7}})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		own[2].RemainingDependencies += 7
		for _, want := range own {
			if diff := cmp.Diff(want, stored(t, d, want.ID)); diff != "" {
				t.Errorf("task %s (-want +got):\n%s", want.TaskName, diff)
			}
		}
	})
}
