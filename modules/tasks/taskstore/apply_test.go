package taskstore_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/sluiceworks/sluice/modules/events/eventstore"
	"github.com/sluiceworks/sluice/modules/outbox"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// created writes a new task, NotStarted, of an execution that this package does not know.
func created(t *testing.T, d *db.DB, name string) tasks.Task {
	t.Helper()
	m := newTask(name)
	if err := apply(t, d, m); err != nil {
		t.Fatal(err)
	}
	return stored(t, d, m.Task.ID)
}

func newTask(name string) *tasks.Change {
	return tasks.Create(tasks.Spec{
		ID: dbtype.NewID(), PipelineExecutionID: dbtype.NewID(), TaskName: name, Handler: "shell",
		Dependencies: []string{"dep"},
		TriggerRule:  "all_success", MaxAttempts: 3,
	}, now)
}

func stored(t *testing.T, d *db.DB, id dbtype.ID) tasks.Task {
	t.Helper()
	task, err := repository(d).Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return task
}

// must applies moves of one task, one transaction each, and gives the row that they lead to.
func must(t *testing.T, d *db.DB, task tasks.Task, list ...func(tasks.Task) *tasks.Change) tasks.Task {
	t.Helper()
	for i, makes := range list {
		m := makes(task)
		if m.Steps[0].Transition.Name == tasks.TransitionClaim.Name { // a claim begins with taking the row
			dbtest.Exec(t, d, `DELETE FROM {task_outbox}`)
		}
		if err := apply(t, d, m); err != nil {
			t.Fatalf("move %d: %v", i, err)
		}
		task = stored(t, d, task.ID)
		if diff := cmp.Diff(m.Task, task); diff != "" {
			t.Errorf("%s (-move +row):\n%s", m.Steps[0].Transition.Name, diff)
		}
	}
	return task
}

// TestRowIsItsMove: whatever a task goes through, the row is what the move says, column by column.
func TestRowIsItsMove(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		started := func(t tasks.Task) *tasks.Change { return t.Claim("w", later, now).MarkStarted() }
		resumed := started
		for name, way := range map[string][]string{
			"completed": {"retry", "defer", "reset", "release", tasks.TransitionComplete.Name},
			"failed":    {"retry", tasks.TransitionFail.Name},
			"cancelled": {tasks.TransitionCancel.Name},
			"abandoned": {tasks.TransitionAbandon.Name},
		} {
			task := must(t, d, created(t, d, name), makers[tasks.TransitionMarkReady.Name], started)
			for _, step := range way {
				switch step {
				case "retry":
					task = must(t, d, task, makers[tasks.TransitionScheduleRetry.Name], started)
				case "defer":
					task = must(t, d, task, makers[tasks.TransitionDefer.Name], resumed)
				case "reset", "release":
					task = must(t, d, task, makers[step], started)
				default:
					task = must(t, d, task, makers[step])
				}
			}
			if name != "completed" {
				must(t, d, task, makers[tasks.TransitionReopen.Name], makers[tasks.TransitionSkip.Name],
					makers[tasks.TransitionReopen.Name])
			}
		}
	})
}

// TestApplyKeepsTheOutbox: the rows come and go as the table says, due when the task is, and a held task has none.
func TestApplyKeepsTheOutbox(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		pending := func() []outbox.Entry {
			t.Helper()
			rows, err := outbox.NewRepository(d).ListPending(t.Context(), 0)
			if err != nil {
				t.Fatal(err)
			}
			return rows
		}
		task := must(t, d, created(t, d, "x"), makers[tasks.TransitionMarkReady.Name])
		if rows := pending(); len(rows) != 1 || rows[0].TaskExecutionID != task.ID || rows[0].Handler != "shell" {
			t.Fatalf("ready: outbox %v", rows)
		}
		task = must(t, d, task, makers[tasks.TransitionClaim.Name], makers[tasks.TransitionScheduleRetry.Name])
		if rows := pending(); len(rows) != 1 || rows[0].AvailableAt != task.RetryAt {
			t.Errorf("to be retried at %s: outbox %v", task.RetryAt, rows)
		}
		task = must(t, d, task, makers[tasks.TransitionClaim.Name], makers[tasks.TransitionDefer.Name])
		if rows := pending(); len(rows) != 1 || rows[0].AvailableAt != later {
			t.Errorf("deferred until %s: outbox %v", later, rows)
		}
		must(t, d, task, makers[tasks.TransitionCancel.Name])
		if rows := pending(); len(rows) != 0 {
			t.Errorf("cancelled: outbox %v", rows)
		}
		hold := tasks.NewChange(created(t, d, "y")).MarkReady(now)
		hold.NoOutbox = true
		if err := apply(t, d, hold); err != nil {
			t.Fatal(err)
		}
		if rows := pending(); len(rows) != 0 {
			t.Errorf("ready in a paused pipeline: outbox %v", rows)
		}
	})
}

// TestStaleMoveWritesNothing: a row that has moved on since it was read stops the whole transaction, its other moves
// too. The move is one that the outbox would not refuse, so that the version alone does.
func TestStaleMoveWritesNothing(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		good, stale := created(t, d, "good"), created(t, d, "stale")
		missing := created(t, d, "missing")
		must(t, d, stale, makers[tasks.TransitionMarkReady.Name])
		missing.ID = dbtype.NewID()
		before := dbtest.Dump(t, d)
		for name, bad := range map[string]tasks.Task{"stale": stale, "missing": missing} {
			if err := apply(t, d, makers[tasks.TransitionMarkReady.Name](good),
				makers[tasks.TransitionCancel.Name](bad)); err == nil {
				t.Errorf("a %s task was moved", name)
			}
			if diff := cmp.Diff(before, dbtest.Dump(t, d)); diff != "" {
				t.Errorf("a %s task: something was written (-before +after):\n%s", name, diff)
			}
		}
	})
}

// TestApplyMany: thousands of tasks at once, in more than one statement, of several kinds of move.
func TestApplyMany(t *testing.T) {
	t.Parallel()
	const n = 1500
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		var moves, next []*tasks.Change
		for i := range n {
			m := newTask(fmt.Sprintf("t%d", i))
			if i%3 == 0 {
				m.MarkReady(now)
			}
			moves = append(moves, m)
		}
		if err := apply(t, d, moves...); err != nil {
			t.Fatal(err)
		}
		for i, m := range moves {
			if i%3 == 1 {
				next = append(next, tasks.NewChange(m.Task).MarkReady(now))
			} else {
				next = append(next, m.Task.Cancel("enough", now))
			}
		}
		if err := apply(t, d, next...); err != nil {
			t.Fatal(err)
		}
		want := map[tasks.Status]int{tasks.Ready: n / 3, tasks.Cancelled: 2 * n / 3}
		got := map[tasks.Status]int{}
		for _, m := range next {
			task := stored(t, d, m.Task.ID)
			got[task.Status]++
			if task.Version != m.Task.Version {
				t.Fatalf("task %s has version %d, expected %d", task.TaskName, task.Version, m.Task.Version)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("statuses (-want +got):\n%s", diff)
		}
		all, err := eventstore.NewRepository(d).List(t.Context(), eventstore.Filter{})
		if err != nil || len(all) != n+n/3+n {
			t.Errorf("%d events (%v), expected %d", len(all), err, n+n/3+n)
		}
		if rows, err := outbox.NewRepository(d).CountPending(t.Context()); err != nil || rows != n/3 {
			t.Errorf("%d outbox rows (%v), expected %d", rows, err, n/3)
		}
	})
}

// TestApplyNothing is no error, and no statement.
func TestApplyNothing(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		if err := apply(t, d); err != nil {
			t.Error(err)
		}
	})
}
