package tasks_test

import (
	"strings"
	"testing"

	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
)

func TestModels(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		dbtest.CheckModel(t, d, tasks.Task{})
		dbtest.CheckModel(t, d, tasks.Log{})
	})
}

// TestLogs: an attempt's words are kept under its number; those of one that was deferred and goes on follow the earlier, up to
// the limit.
func TestLogs(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := repository(d)
		task, other := created(t, d, "x"), created(t, d, "other")
		keep := func(id db.ID, attempt int, stdout, stderr string) {
			t.Helper()
			err := d.Transaction(t.Context(), func(tx db.Tx) error {
				return r.KeepLogs(tx, []tasks.Log{{TaskExecutionID: id, Attempt: attempt, Stdout: stdout, Stderr: stderr}})
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		keep(task.ID, 2, "second", "")
		keep(task.ID, 1, "first ünï ", "warn ")
		keep(task.ID, 1, "goes on", "again")
		keep(other.ID, 1, "another task's", "")
		logs, err := r.Logs(t.Context(), task.PipelineExecutionID)
		if err != nil {
			t.Fatal(err)
		}
		if len(logs) != 2 || logs[0].Attempt != 1 || logs[1].Attempt != 2 {
			t.Fatalf("logs %+v, expected attempts 1 and 2 of one task", logs)
		}
		if logs[0].Stdout != "first ünï goes on" || logs[0].Stderr != "warn again" || logs[1].Stdout != "second" || logs[0].CreatedAt.IsZero() {
			t.Errorf("logs %+v", logs)
		}
		for range 3 {
			keep(task.ID, 2, strings.Repeat("y", tasks.MaxLog), "")
		}
		logs, err = r.Logs(t.Context(), task.PipelineExecutionID)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(logs[1].Stdout); n != 2*tasks.MaxLog || !strings.HasPrefix(logs[1].Stdout, "secondyy") {
			t.Errorf("an attempt that goes on again and again keeps %d bytes, expected %d", n, 2*tasks.MaxLog)
		}
	})
}
