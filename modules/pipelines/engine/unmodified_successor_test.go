package engine_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/sluiceworks/sluice/modules/enginetest"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/modules/workers"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// chained is a run in which some tasks wait for one other alone and some for several.
func chained() []definition.Task {
	return []definition.Task{
		work("a"), work("b", "a"), work("c", "b"), work("d", "a"), work("e", "c", "d"),
		withCondition(work("f", "e"), "false"), work("g", "f"),
		withRule(work("h", "g"), definition.Always), work("i", "h"),
	}
}

// TestIDsOfTasksFollow from their execution's, in the order of the definition.
func TestIDsOfTasksFollow(t *testing.T) {
	t.Parallel()
	enginetest.Each(t, scripted, func(t *testing.T, s *enginetest.Stack) {
		h := newByHand(t, s, "ids", chained()...)
		h.steps(h.start, h.start)
		for place, task := range chained() {
			if got, want := taskNamed(t, h, task.ID).ID, h.id.Offset(place+1); got != want ||
				h.def.IndexOf(task.ID) != place {
				t.Errorf("%s, at %d, has id %s, expected %s", task.ID, h.def.IndexOf(task.ID), got, want)
			}
		}
		if h.def.IndexOf("z") != -1 {
			t.Errorf("a task that is not there is at %d", h.def.IndexOf("z"))
		}
	})
}

// renamed gives a task another id, wherever it stands.
func renamed(t *testing.T, h *byHand, task string, id dbtype.ID) {
	t.Helper()
	args := db.Args{"old": taskNamed(t, h, task).ID, "new": id}
	err := h.s.DB.Transaction(h.ctx, func(tx db.Tx) (err error) {
		for table, column := range map[string]string{
			"task_executions": "id", "execution_events": "task_execution_id",
			"task_outbox": "task_execution_id",
		} {
			n, failure := tx.Exec(fmt.Sprintf(`UPDATE {%s} SET %s = $new WHERE %s = $old`, table, column, column), args)
			if n == 0 && table != "task_outbox" {
				failure = errors.Join(failure, fmt.Errorf("%s has no row of %s", table, task))
			}
			err = errors.Join(err, failure)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestRunsOfOtherIDsGoOn: a run whose tasks' ids do not follow from its own, all of them or some, or follow in another
// order, goes its way.
func TestRunsOfOtherIDsGoOn(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(t *testing.T, h *byHand){
		"none": func(*testing.T, *byHand) {},
		"all": func(t *testing.T, h *byHand) {
			for _, task := range chained() {
				renamed(t, h, task.ID, dbtype.NewID())
			}
		},
		"the successors'": func(t *testing.T, h *byHand) {
			for _, task := range chained()[1:] {
				renamed(t, h, task.ID, dbtype.NewID())
			}
		},
		"the root's": func(t *testing.T, h *byHand) { renamed(t, h, "a", dbtype.NewID()) },
		"swapped": func(t *testing.T, h *byHand) {
			b, c := taskNamed(t, h, "b").ID, taskNamed(t, h, "c").ID
			renamed(t, h, "b", dbtype.NewID())
			renamed(t, h, "c", b)
			renamed(t, h, "b", c)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			enginetest.Each(t, scripted, func(t *testing.T, s *enginetest.Stack) {
				h := newByHand(t, s, "foreign", chained()...)
				h.steps(h.start)
				change(t, h)
				s.Work(t, h.ctx, workers.Config{Slots: 4})
				if x := s.Wait(t, h.ctx, h.id); x.Status != pipelines.Completed || x.OpenTasks != 0 {
					t.Errorf("the run is %s with %d open tasks", x.Status, x.OpenTasks)
				}
				for task, want := range map[string]tasks.Status{
					"a": tasks.Completed, "e": tasks.Completed,
					"f": tasks.Skipped, "g": tasks.Skipped, "i": tasks.Completed,
				} {
					if got := taskNamed(t, h, task).Status; got != want {
						t.Errorf("%s is %s, expected %s", task, got, want)
					}
					numbered(t, h, task)
				}
			})
		})
	}
}

// TestSuccessorsMovedMeanwhile: whatever happens to a run between the claim of a task and its outcome, the outcome
// makes what follows ready as it is by then, or is lost and changes nothing.
func TestSuccessorsMovedMeanwhile(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		between func(h *byHand) error
		lost    bool
		next    int64 // version of the successor once it is claimed; 0: it never is
	}{
		"nothing":                         {nothing, false, 4},
		"paused":                          {(*byHand).pause, false, 0},
		"paused and resumed elsewhere":    {elsewhere((*byHand).pause, (*byHand).resume), false, 4},
		"cancelled elsewhere":             {elsewhere((*byHand).cancel), true, 0},
		"cancelled and retried":           {inTurn((*byHand).cancel, (*byHand).retry), true, 6},
		"cancelled and retried elsewhere": {elsewhere((*byHand).cancel, (*byHand).retry), true, 6},
		"and claimed again":               {inTurn((*byHand).cancel, (*byHand).retry, elsewhere(claims(1))), true, 0},
		"and completed": {elsewhere((*byHand).cancel, (*byHand).
			retry, claims(1), ends("a", pipelines.OutcomeSucceeded)), true, 6},
		"cancelled and retried, and again": {inTurn((*byHand).cancel, (*byHand).retry, (*byHand).cancel, (*byHand).
			retry), true, 8},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			enginetest.Each(t, scripted, func(t *testing.T, s *enginetest.Stack) {
				h := newByHand(t, s, "moved", work("a"), work("b", "a"), work("c", "b"))
				h.steps(h.start, func() error { return h.claim(1) })
				late := h.outcome("a", pipelines.OutcomeSucceeded)
				h.steps(func() error { return c.between(h) })
				if err := h.record(late); errors.Is(err, tasks.ErrClaimLost) != c.lost || !c.lost && err != nil {
					t.Fatalf("the outcome: %v, expected it lost: %t", err, c.lost)
				}
				delete(h.held, "a")
				h.steps(func() error { return h.claim(3) })
				if h.held["a"] != nil {
					h.steps(func() error { return h.finish("a", pipelines.OutcomeSucceeded) },
						func() error { return h.claim(3) })
				}
				b := h.held["b"]
				if (b != nil) != (c.next > 0) || b != nil && b.Task.Version != c.next {
					t.Fatalf("the successor's claim: %+v, expected version %d", b, c.next)
				}
				if b != nil {
					h.steps(func() error { return h.finish("b", pipelines.OutcomeSucceeded) },
						func() error { return h.claim(3) },
						func() error { return h.finish("c", pipelines.OutcomeSucceeded) })
				}
				for _, task := range []string{"a", "b", "c"} {
					numbered(t, h, task)
				}
			})
		})
	}
}

// TestSuccessorsOfRepeatedTasks: a task that was begun more than once is followed by the others all the same.
func TestSuccessorsOfRepeatedTasks(t *testing.T) {
	t.Parallel()
	for name, kind := range map[string]pipelines.OutcomeKind{
		"failed":   pipelines.OutcomeFailed,
		"deferred": pipelines.OutcomeDeferred, "given back": pipelines.OutcomeReleased,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			enginetest.Each(t, scripted, func(t *testing.T, s *enginetest.Stack) {
				h := newByHand(t, s, "again", work("a"), work("b", "a"), work("c", "b"))
				h.steps(h.start)
				for _, task := range []string{"a", "b", "c"} {
					h.steps(func() error { return h.claim(3) }, func() error { return h.finish(task, kind) })
					dueSoon(t, h)
					h.steps(func() error { return h.claim(3) },
						func() error { return h.finish(task, pipelines.OutcomeSucceeded) })
					numbered(t, h, task)
				}
				if x, err := s.Pipelines.Get(h.ctx, h.id); err != nil || x.Status != pipelines.Completed {
					t.Errorf("the run is %s (%v)", x.Status, err)
				}
			})
		})
	}
}
