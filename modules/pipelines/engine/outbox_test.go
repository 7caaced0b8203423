package engine_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluiceworks/sluice/modules/enginetest"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// stray adds an outbox row by another hand than sluice's.
func stray(t *testing.T, s *enginetest.Stack, task dbtype.ID, made dbtype.Time) {
	t.Helper()
	err := s.DB.Transaction(t.Context(), func(tx db.Tx) error {
		_, err := tx.Exec(`INSERT INTO {task_outbox} (task_execution_id, handler, available_at, created_at)
  VALUES ($task, 'scripted', $made, $made)`,
			db.Args{"task": task, "made": made})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// clean removes stray rows made before a cutoff.
func clean(t *testing.T, s *enginetest.Stack, cutoff dbtype.Time) (n int64) {
	t.Helper()
	err := s.DB.Transaction(t.Context(), func(tx db.Tx) (err error) {
		n, err = s.Outbox.DeleteOrphans(tx, cutoff)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// waiting gives the tasks that have an outbox row.
func waiting(t *testing.T, s *enginetest.Stack) map[dbtype.ID]bool {
	t.Helper()
	rows, err := s.Outbox.ListPending(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	out := map[dbtype.ID]bool{}
	for _, r := range rows {
		out[r.TaskExecutionID] = true
	}
	return out
}

// TestOnlyStrayRowsAreCleaned: rows that stand for no work go when they are old; one that stands for work stays however
// old it is, for its task would wait for ever.
func TestOnlyStrayRowsAreCleaned(t *testing.T) {
	t.Parallel()
	enginetest.Each(t, scripted, func(t *testing.T, s *enginetest.Stack) {
		ended := chain(t, s, "ended")
		ready, paused := newByHand(t, s, "ready", work("a"), work("b", "a")), newByHand(t, s, "paused", work("a"))
		ready.steps(ready.start)
		paused.steps(paused.start, paused.pause)
		old, young := dbtype.NewTime(s.DB.Now().Add(-time.Hour)), dbtype.NewTime(s.DB.Now().Add(time.Hour))
		nobody, recent := dbtype.NewID(), dbtype.NewID()
		for _, task := range []dbtype.ID{nobody, taskNamed(t, ended, "a").ID, taskNamed(t, paused, "a").
			ID, taskNamed(t, ready, "b").ID} {
			stray(t, s, task, old)
		}
		stray(t, s, recent, young)
		if n := clean(t, s, dbtype.NewTime(old.Add(-time.Minute))); n != 0 {
			t.Errorf("%d rows were removed that are younger than the cutoff", n)
		}
		if n := clean(t, s, dbtype.NewTime(s.DB.Now().Add(time.Minute))); n != 4 {
			t.Errorf("%d rows were removed, expected the 4 old strays", n)
		}
		if diff := cmp.Diff(map[dbtype.ID]bool{taskNamed(t, ready, "a").ID: true, recent: true},
			waiting(t, s)); diff != "" {
			t.Errorf("left (-want +got):\n%s", diff)
		}
		if n := clean(t, s, dbtype.NewTime(young.Add(time.Minute))); n != 1 {
			t.Errorf("%d rows were removed at last, expected the 1 stray", n)
		}
		ready.steps(func() error { return ready.claim(1) },
			func() error { return ready.finish("a", pipelines.OutcomeSucceeded) })
	})
}

// TestStrayRowIsNoWork: a claim that takes a row whose task is not Ready gives nobody work, and the row is gone.
func TestStrayRowIsNoWork(t *testing.T) {
	t.Parallel()
	enginetest.Each(t, scripted, func(t *testing.T, s *enginetest.Stack) {
		ended := chain(t, s, "ended")
		stray(t, s, dbtype.NewID(), dbtype.NewTime(s.DB.Now()))
		stray(t, s, taskNamed(t, ended, "a").ID, dbtype.NewTime(s.DB.Now()))
		h := newByHand(t, s, "claims", work("a"))
		h.steps(func() error { return h.claim(10) })
		if len(h.held) != 0 || len(waiting(t, s)) != 0 {
			t.Errorf("%d tasks are held and %d rows left, expected none", len(h.held), len(waiting(t, s)))
		}
	})
}
