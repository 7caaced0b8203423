package taskstore_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/modules/tasks/taskstore"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

func TestModels(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		dbtest.CheckModel(t, d, "task_executions", tasks.Task{})
		dbtest.CheckModel(t, d, "log_chunks", tasks.Chunk{})
	})
}

// writing stores what a claim's attempt writes.
type writing struct {
	t *testing.T
	d *db.DB
	r *taskstore.Repository
}

func (w writing) store(list ...tasks.Written) {
	w.t.Helper()
	err := w.d.Write(w.t.Context(), func(b *db.Batch) error {
		w.r.WriteChunks(b, list)
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w writing) logs(pipeline dbtype.ID) []taskstore.Log {
	w.t.Helper()
	logs, err := w.r.Logs(w.t.Context(), pipeline)
	if err != nil {
		w.t.Fatal(err)
	}
	return logs
}

// words is what an attempt says that is claimed at a version.
func words(t tasks.Task, version int64, attempt int, resumed bool, stdout, stderr string) tasks.Written {
	t.Version, t.Attempt = version, attempt
	o := tasks.NewOutput(t, resumed, nil)
	_, _ = o.Writer(tasks.Stdout).Write([]byte(stdout))
	_, _ = o.Writer(tasks.Stderr).Write([]byte(stderr))
	return o.Close()
}

// TestLogs: an attempt's words are kept under its number; those of one that was deferred and goes on follow the
// earlier, and storing the same twice changes nothing.
func TestLogs(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := writing{t, d, repository(d)}
		task, other := created(t, d, "x"), created(t, d, "other")
		w.store(words(task, 12, 2, false, "second", ""))
		first := words(task, 4, 1, false, "first ünï ", "warn ")
		w.store(first, words(other, 4, 1, false, "another task's", ""))
		w.store(words(task, 8, 1, true, "goes on", "again"))
		w.store(first)
		want := []taskstore.Log{
			{TaskExecutionID: task.ID, Attempt: 1, Stdout: "first ünï goes on", Stderr: "warn again"},
			{TaskExecutionID: task.ID, Attempt: 2, Stdout: "second"},
		}
		if diff := cmp.Diff(want, w.logs(task.PipelineExecutionID)); diff != "" {
			t.Error(diff)
		}
	})
}

// TestLogsOfOneThatGoesOn: an attempt that is deferred again and again keeps its last words, up to a limit, and says
// what is missing.
func TestLogsOfOneThatGoesOn(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := writing{t, d, repository(d)}
		task := created(t, d, "x")
		w.store(words(task, 4, 1, false, "begins", ""))
		for i := range 5 {
			w.store(words(task, int64(8+4*i), 1, true, strings.Repeat("y", tasks.MaxLog/2)+"z", "short"))
		}
		log := w.logs(task.PipelineExecutionID)[0]
		if n := len(log.Stdout); n > 2*tasks.MaxLog || n < tasks.MaxLog || !strings.HasSuffix(log.Stdout, "yz") {
			t.Errorf("%d bytes of stdout are kept", n)
		}
		written := len("begins") + 5*(tasks.MaxLog/2+1)
		var left int
		if n := strings.Index(log.Stdout, " bytes left out …\n"); n < 0 {
			t.Error("no note of what was left out")
		} else if left = written - len(log.Stdout[n+len(" bytes left out …\n"):]); !strings.HasPrefix(log.Stdout,
			"\n… "+strconv.Itoa(left)+" bytes") {
			t.Errorf("%q, expected %d bytes", log.Stdout[:n], left)
		}
		if log.Stderr != strings.Repeat("short", 5) {
			t.Errorf("stderr: %q", log.Stderr)
		}
	})
}

// TestLateLogs: what is stored outside of an outcome's transaction needs its task, and replaces what has become too
// old.
func TestLateLogs(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := writing{t, d, repository(d)}
		task := created(t, d, "x")
		late := func(list ...tasks.Written) {
			t.Helper()
			err := d.Write(t.Context(), func(b *db.Batch) error {
				w.r.WriteLateChunks(b, list)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		removed := tasks.Task{ID: dbtype.NewID()}
		o := tasks.NewOutput(task, false, nil)
		write := func(text string) {
			_, _ = o.Writer(tasks.Stdout).Write([]byte(text))
			late(o.Take(), words(removed, 4, 1, false, "of nobody", ""))
		}
		write("first")
		for range 10 {
			write(strings.Repeat("x", tasks.MaxLog/4))
		}
		write("last")
		log := w.logs(task.PipelineExecutionID)[0]
		if n := len(log.Stdout); n > tasks.MaxLog+100 || !strings.HasPrefix(log.Stdout, "first") ||
			!strings.HasSuffix(log.Stdout, "last") {
			t.Errorf("%d bytes are kept", n)
		}
		if n := count(t, d, `SELECT count(*) FROM {log_chunks} WHERE task_execution_id = $id`,
			db.Args{"id": removed.ID}); n != 0 {
			t.Errorf("%d chunks of a task that is not there", n)
		}
	})
}

func count(t *testing.T, d *db.DB, query string, args db.Args) (n int64) {
	t.Helper()
	err := d.Query(t.Context(), query, args, func(scan db.Scan) error { return scan(&n) })
	if err != nil {
		t.Fatal(err)
	}
	return n
}
