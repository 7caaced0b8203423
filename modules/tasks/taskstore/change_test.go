package taskstore_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluiceworks/sluice/modules/events/eventstore"
	"github.com/sluiceworks/sluice/modules/outbox"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/modules/tasks/taskstore"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

var (
	then  = dbtype.NewTime(time.Unix(1e9, 0))
	now   = dbtype.NewTime(time.Unix(1e9+60, 0))
	later = dbtype.NewTime(time.Unix(1e9+3600, 0))
)

// makers makes each transition but creation, out of whatever status the task is in.
var makers = map[string]func(t tasks.Task) *tasks.Change{
	tasks.TransitionMarkReady.Name: func(t tasks.Task) *tasks.Change { return tasks.NewChange(t).MarkReady(now) },
	tasks.TransitionClaim.Name:     func(t tasks.Task) *tasks.Change { return t.Claim("w", later, now) },
	tasks.TransitionResume.Name: func(
		t tasks.Task,
	) *tasks.Change {
		t.SubStatus = tasks.Deferred
		return t.Claim("w", later, now)
	},
	tasks.TransitionMarkStarted.Name: func(t tasks.Task) *tasks.Change { return tasks.NewChange(t).MarkStarted() },
	tasks.TransitionDefer.Name:       func(t tasks.Task) *tasks.Change { return t.Defer(later, "not yet", now) },
	tasks.TransitionComplete.Name: func(t tasks.Task) *tasks.Change {
		return t.Complete(dbtype.JSON(`{"a": 1}`),
			nil, now)
	},
	tasks.TransitionScheduleRetry.Name: func(t tasks.Task) *tasks.Change {
		return t.ScheduleRetry(tasks.KindExit,
			"broke", nil, time.Hour, now)
	},
	tasks.TransitionFail.Name: func(t tasks.Task) *tasks.Change {
		return t.Fail(tasks.KindExit, "broke", nil,
			now)
	},
	tasks.TransitionSkip.Name: func(t tasks.Task) *tasks.Change {
		return tasks.NewChange(t).Skip(tasks.SkipTriggerRule, "all_success", "trigger rule all_success is not met", now)
	},
	tasks.SkipRunning.Name:       func(t tasks.Task) *tasks.Change { return t.SkipRunning(99, "all_success", now) },
	tasks.TransitionReset.Name:   func(t tasks.Task) *tasks.Change { return t.Recover(now) },
	"release":                    func(t tasks.Task) *tasks.Change { return t.Release("stopping", now) },
	tasks.TransitionReopen.Name:  func(t tasks.Task) *tasks.Change { return t.Reopen(3, 2) },
	tasks.TransitionAbandon.Name: func(t tasks.Task) *tasks.Change { return tasks.NewChange(t).Abandon("gone", now) },
	tasks.TransitionCancel.Name:  func(t tasks.Task) *tasks.Change { return t.Cancel("enough", now) },
}

// transitionOf is the row of the table that a maker begins with.
func transitionOf(t *testing.T, name string) tasks.Transition {
	t.Helper()
	switch name {
	case tasks.TransitionResume.Name:
		return tasks.TransitionClaim
	case "release":
		return tasks.TransitionReset
	}
	for _, x := range tasks.Transitions() {
		if x.Name == name {
			return x
		}
	}
	t.Fatalf("no transition %q", name)
	return tasks.Transition{}
}

func TestEveryTransitionHasAMaker(t *testing.T) {
	t.Parallel()
	for _, x := range tasks.Transitions() {
		if _, ok := makers[x.Name]; !ok && x.Name != tasks.TransitionCreate.Name {
			t.Errorf("no test makes %q", x.Name)
		}
	}
}

func repository(d *db.DB) *taskstore.Repository {
	return taskstore.NewRepository(d, eventstore.NewRepository(d), outbox.NewRepository(d))
}

func apply(t *testing.T, d *db.DB, moves ...*tasks.Change) error {
	t.Helper()
	return d.Write(t.Context(), func(b *db.Batch) error { return repository(d).Apply(b, moves) })
}

// TestIllegalMoves: each transition out of each status is taken if the table has it, and refused before anything is
// written if it has not.
func TestIllegalMoves(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		for name, makes := range makers {
			x := transitionOf(t, name)
			for _, from := range tasks.Statuses() {
				task := created(t, d, "x")
				task.Status = from
				claim := ""
				if from == tasks.Running {
					task.WorkerID, task.StartedAt = "w", task.CreatedAt
					claim = `, worker_id = 'w', started_at = created_at`
				}
				dbtest.Exec(t, d, `UPDATE {task_executions} SET status = '`+string(from)+`'`+
					claim, `DELETE FROM {task_outbox}`)
				before := dbtest.Dump(t, d)
				err := apply(t, d, makes(task))
				switch legal := slices.Contains(x.From, from); {
				case legal && err != nil:
					t.Errorf("%s of a task that is %s: %v", name, from, err)
				case !legal && !errors.Is(err, tasks.ErrIllegal):
					t.Errorf("%s of a task that is %s: got %v, expected %v", name, from, err, tasks.ErrIllegal)
				case !legal:
					if diff := cmp.Diff(before, dbtest.Dump(t, d)); diff != "" {
						t.Errorf("%s of a task that is %s wrote (-before +after):\n%s", name, from, diff)
					}
				}
				dbtest.Exec(t, d, `DELETE FROM {task_executions}`, `DELETE FROM {task_outbox}`)
			}
		}
	})
}

// held is a running task, in its second attempt, with every field that a move may clear.
func held() tasks.Task {
	return tasks.Task{
		ID: dbtype.NewID(), TaskName: "x", Status: tasks.Running, SubStatus: tasks.Active, Version: 9, Attempt: 2,
		MaxAttempts:           4,
		RemainingDependencies: 0, WorkerID: "w", Recoveries: 1, Error: "the first attempt's",
		ErrorKind: tasks.KindTimeout, CreatedAt: then, StartedAt: then,
	}
}

// TestMoveSetsAndClears holds each move to docs/events.md: what it sets, what it clears, and what it leaves.
func TestMoveSetsAndClears(t *testing.T) {
	t.Parallel()
	waiting, ended := held(), held()
	waiting.Status, waiting.SubStatus, waiting.WorkerID, waiting.RetryAt = tasks.Ready, tasks.NoSubStatus, "", now
	deferred := waiting
	deferred.SubStatus = tasks.Deferred
	ended.Status, ended.SubStatus, ended.CompletedAt = tasks.Failed, tasks.NoSubStatus, then
	cases := map[string]struct {
		before tasks.Task
		steps  int
		change func(t *tasks.Task)
	}{
		tasks.TransitionClaim.Name: {waiting, 1, func(t *tasks.Task) {
			t.Attempt, t.WorkerID, t.RetryAt, t.StartedAt, t.SubStatus = 3, "w", dbtype.Time{}, now, tasks.Active
		}},
		tasks.TransitionResume.Name: {deferred, 2, func(t *tasks.Task) {
			t.WorkerID, t.RetryAt, t.StartedAt, t.SubStatus = "w", dbtype.Time{}, now, tasks.Active
		}},
		tasks.TransitionMarkStarted.Name: {held(), 1, func(t *tasks.Task) { t.SubStatus = tasks.Active }},
		tasks.TransitionDefer.Name: {held(), 1, func(t *tasks.Task) {
			t.WorkerID, t.RetryAt, t.StartedAt, t.SubStatus = "", later, now, tasks.Deferred
		}},
		tasks.TransitionComplete.Name: {held(), 1, func(t *tasks.Task) {
			t.Output, t.Error, t.ErrorKind, t.CompletedAt = dbtype.JSON(`{"a": 1}`), "", "", now
		}},
		tasks.TransitionScheduleRetry.Name: {held(), 1, func(t *tasks.Task) {
			t.WorkerID, t.RetryAt, t.Error, t.ErrorKind = "", dbtype.NewTime(now.Add(time.Hour)), "broke",
				tasks.KindExit
		}},
		tasks.TransitionFail.Name: {
			held(), 1,
			func(t *tasks.Task) { t.Error, t.ErrorKind, t.CompletedAt = "broke", tasks.KindExit, now },
		},
		tasks.TransitionReset.Name:  {held(), 1, func(t *tasks.Task) { t.WorkerID, t.Recoveries = "", 2 }},
		"release":                   {held(), 1, func(t *tasks.Task) { t.WorkerID, t.MaxAttempts = "", 5 }},
		tasks.TransitionCancel.Name: {held(), 1, func(t *tasks.Task) { t.WorkerID, t.CompletedAt = "", now }},
		tasks.TransitionAbandon.Name: {waiting, 1, func(t *tasks.Task) {
			t.RetryAt, t.Error, t.ErrorKind, t.CompletedAt = dbtype.Time{}, "gone", "", now
		}},
		tasks.TransitionReopen.Name: {ended, 1, func(t *tasks.Task) {
			t.WorkerID, t.Error, t.ErrorKind, t.CompletedAt, t.Recoveries, t.MaxAttempts, t.RemainingDependencies = "",
				"", "", dbtype.Time{}, 0, 5, 2
		}},
	}
	for name, c := range cases {
		m := makers[name](c.before)
		want, x := c.before, m.Steps[len(m.Steps)-1].Transition
		want.Status, want.SubStatus, want.Version = x.To, tasks.NoSubStatus, c.before.Version+int64(c.steps)
		c.change(&want)
		if diff := cmp.Diff(want, m.Task); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if len(m.Steps) != c.steps || m.ReadVersion != c.before.Version {
			t.Errorf("%s: %d steps from version %d, expected %d from %d", name, len(m.Steps), m.ReadVersion, c.steps,
				c.before.Version)
		}
		if m.Steps[0].Worker != "w" && name != tasks.TransitionReset.Name && name != tasks.TransitionReopen.Name &&
			name != tasks.TransitionCancel.Name && name != tasks.TransitionAbandon.Name {
			t.Errorf("%s: the step's worker is %q, expected the one that acts", name, m.Steps[0].Worker)
		}
	}
}
