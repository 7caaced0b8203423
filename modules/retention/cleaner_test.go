package retention_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sluiceworks/sluice/modules/enginetest"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/modules/retention"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/modules/workers"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var broken = tasks.NewHandler("broken", func(context.Context, struct{}) (struct{}, error) {
	return struct{}{}, tasks.NonRetryable(errors.New("no"))
})

// fail starts runs that fail at once and can therefore be retried.
func fail(t *testing.T, s *enginetest.Stack, n int) []dbtype.ID {
	t.Helper()
	def := s.Define(t, "broken", definition.Task{ID: "a", Uses: "broken"})
	stop := s.Work(t, t.Context(), workers.Config{Slots: 16})
	defer stop()
	requests := make([]engine.StartRequest, n)
	for i := range requests {
		requests[i].Definition = def
	}
	started, err := s.Engine.Start(t.Context(), requests)
	if err != nil {
		t.Fatal(err)
	}
	ids := make([]dbtype.ID, n)
	for i, x := range started {
		ids[i] = s.Wait(t, t.Context(), x.ID).ID
	}
	return ids
}

var all = retention.Options{Ages: retention.Policy{retention.Executions: time.Nanosecond}}

// TestRaceWithRetry checks that a run that is retried during retention is either complete or removed, whichever comes
// first.
func TestRaceWithRetry(t *testing.T) {
	t.Parallel()
	enginetest.Each(t, []tasks.Handler{broken}, func(t *testing.T, s *enginetest.Stack) {
		ids := fail(t, s, 40)
		ended := make(chan error, 1)
		go func() {
			_, err := s.Retention.Run(t.Context(), all)
			ended <- err
		}()
		retried := 0
		for _, id := range ids {
			err := s.Engine.Retry(t.Context(), engine.ControlRequest{ID: id}, "")
			switch {
			case err == nil:
				retried++
			case !errors.Is(err, pipelines.ErrExecutionNotFound):
				t.Errorf("retry: %v", err)
			}
		}
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		list, err := s.Pipelines.List(t.Context(), engine.Filter{})
		if err != nil || len(list) != retried {
			t.Errorf("%d runs are left, %d were retried (%v)", len(list), retried, err)
		}
		for _, x := range list {
			if x.Status != pipelines.Running {
				t.Errorf("%s is %s", x.ID, x.Status)
			}
		}
	})
}

// TestInterrupted checks that an interrupted pass has removed whole batches only and freed the chore, and that the
// next pass completes the work.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	enginetest.Each(t, []tasks.Handler{broken}, func(t *testing.T, s *enginetest.Stack) {
		fail(t, s, 130) // more than one batch
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		o := all
		o.Progress = func(retention.Result) { cancel() }
		removed, err := s.Retention.Run(ctx, o)
		if !errors.Is(err, context.Canceled) || len(removed) != 1 || removed[0].Executions != 100 {
			t.Fatalf("removed %v, %v", removed, err)
		}
		left, err := s.Retention.Count(t.Context(), all)
		if err != nil || len(left) != 1 || left[0].Executions != 30 {
			t.Fatalf("left %v, %v", left, err)
		}
		if removed, err = s.Retention.Run(t.Context(), all); err != nil || len(removed) != 1 ||
			removed[0].Executions != 30 {
			t.Errorf("then removed %v, %v", removed, err)
		}
	})
}

// TestAtomic checks that nothing of a batch is removed if one of its statements fails.
func TestAtomic(t *testing.T) {
	t.Parallel()
	enginetest.Each(t, []tasks.Handler{broken}, func(t *testing.T, s *enginetest.Stack) {
		fail(t, s, 3)
		for _, table := range []string{"execution_events", "task_executions", "pipeline_executions"} {
			mend := dbtest.Inject(t, s.DB, dbtest.Fault{Table: table, On: "DELETE"})
			removed, err := s.Retention.Run(t.Context(), all)
			mend()
			if !dbtest.Injected(err) || len(removed) != 0 {
				t.Errorf("%s: removed %v, %v", table, removed, err)
			}
			if left, err := s.Retention.Count(t.Context(), all); err != nil || len(left) != 1 ||
				left[0].Executions != 3 {
				t.Errorf("%s: left %v, %v", table, left, err)
			}
		}
	})
}

// TestNoEventsLeft checks that a pass finds nothing to do, and commits no more than a pass before the cutoff, where
// something else has deleted the events of ended executions.
func TestNoEventsLeft(t *testing.T) {
	t.Parallel()
	enginetest.Each(t, []tasks.Handler{broken}, func(t *testing.T, s *enginetest.Stack) {
		fail(t, s, 3)
		pass := func(age time.Duration) (commits int64) {
			before := s.DB.Committed()
			removed, err := s.Retention.Run(t.Context(),
				retention.Options{Ages: retention.Policy{retention.Events: age}})
			if err != nil || len(removed) != 0 {
				t.Errorf("removed %v, %v", removed, err)
			}
			return s.DB.Committed() - before
		}
		idle := pass(time.Hour)
		dbtest.Exec(t, s.DB, `DELETE FROM {execution_events}`)
		for range 2 {
			if n := pass(time.Nanosecond); n != idle {
				t.Errorf("a pass with nothing to remove made %d commits, one before the cutoff %d", n, idle)
			}
		}
		if _, err := s.Retention.Run(t.Context(), all); err != nil {
			t.Error(err)
		}
	})
}
