package engine_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluiceworks/sluice/modules/enginetest"
	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/events/eventstore"
	"github.com/sluiceworks/sluice/modules/outbox"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// TestOutboxEmptyAfterClaiming: each ready task has one row, a claim takes it, and the rest stays.
func TestOutboxEmptyAfterClaiming(t *testing.T) {
	t.Parallel()
	enginetest.Each(t, scripted, func(t *testing.T, s *enginetest.Stack) {
		h := newByHand(t, s, "queue", work("a"), work("b"), work("c"), work("d", "a"))
		h.steps(h.start)
		for _, want := range []int64{3, 2, 1, 0} {
			rows, err := s.Outbox.ListPending(h.ctx, 0)
			if err != nil {
				t.Fatal(err)
			}
			n, err := s.Outbox.CountPending(h.ctx)
			if err != nil {
				t.Fatal(err)
			}
			if int64(len(rows)) != want || n != want {
				t.Fatalf("%d rows are listed and %d counted, expected %d", len(rows), n, want)
			}
			h.steps(func() error { return h.claim(1) })
		}
		if len(h.held) != 3 {
			t.Errorf("%d tasks are held, expected a, b and c", len(h.held))
		}
	})
}

// tally is which tasks have been claimed, by any worker.
type tally struct {
	mu     sync.Mutex
	claims map[dbtype.ID]int
	errs   []error
}

func (y *tally) add(claims []pipelines.Claim, err error) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if err != nil {
		y.errs = append(y.errs, err)
	}
	for _, c := range claims {
		y.claims[c.Task.ID]++
	}
}

// claimAll claims until the outbox is empty.
func (y *tally) claimAll(t *testing.T, s *enginetest.Stack, worker string) {
	if err := enlist(t.Context(), s, worker); err != nil {
		y.add(nil, err)
		return
	}
	for {
		claims, err := s.Engine.Claim(t.Context(), engine.ClaimRequest{
			Worker: worker, LeaseExpiresAt: dbtype.NewTime(s.DB.Now().Add(time.Minute)),
			Want: outbox.ClaimFilter{Handlers: s.Handlers.Names(), Limit: 3},
		})
		y.add(claims, err)
		if err != nil {
			return
		}
		if len(claims) > 0 {
			continue
		}
		// Not yet due by this handle's reading of the clock, or in another's hands until it commits.
		if n, err := s.Outbox.CountPending(t.Context()); err != nil || n == 0 {
			y.add(nil, err)
			return
		}
	}
}

// TestConcurrentClaimingNoDuplicates: 500 tasks, 12 workers over 4 handles on one database: each task is claimed once,
// none is left, and no worker sees an error.
func TestConcurrentClaimingNoDuplicates(t *testing.T) {
	t.Parallel()
	const runs, width, handles, workersEach = 5, 100, 4, 3
	enginetest.Each(t, scripted, func(t *testing.T, s *enginetest.Stack) {
		list := works(width)
		h := newByHand(t, s, "wide", list...)
		for range runs {
			h.steps(h.start)
		}
		y := &tally{claims: map[dbtype.ID]int{}}
		var group sync.WaitGroup
		for i := range handles {
			other := enginetest.New(t, dbtest.Open(t, s.DB.URL()), scripted...)
			for j := range workersEach {
				group.Go(func() { y.claimAll(t, other, fmt.Sprintf("worker-%d-%d", i, j)) })
			}
		}
		group.Wait()
		if err := errors.Join(y.errs...); err != nil {
			t.Errorf("claiming: %v", err)
		}
		for id, n := range y.claims {
			if n != 1 {
				t.Errorf("task %s was claimed %d times", id, n)
			}
		}
		if len(y.claims) != runs*width {
			t.Errorf("%d tasks were claimed, expected %d", len(y.claims), runs*width)
		}
		if n, err := s.Outbox.CountPending(h.ctx); err != nil || n != 0 {
			t.Errorf("%d outbox rows are left (%v)", n, err)
		}
		recorded, err := s.Events.ListByType(h.ctx, events.TaskClaimed, eventstore.Page{})
		if err != nil || len(recorded) != runs*width {
			t.Errorf("%d events task_claimed (%v), expected %d", len(recorded), err, runs*width)
		}
	})
}

// TestClaimTakesWhatItMay: no task whose handler the worker lacks, none of another run than the one asked for, none not
// yet due.
func TestClaimTakesWhatItMay(t *testing.T) {
	t.Parallel()
	enginetest.Each(t, scripted, func(t *testing.T, s *enginetest.Stack) {
		first, second := newByHand(t, s, "first", work("a")), newByHand(t, s, "second", work("b"))
		first.steps(first.start)
		second.steps(second.start, second.enlist)
		ask := func(want outbox.ClaimFilter) []string {
			t.Helper()
			claims, err := s.Engine.Claim(t.Context(),
				engine.ClaimRequest{Worker: second.worker, LeaseExpiresAt: dbtype.NewTime(s.DB.Now()), Want: want})
			if err != nil {
				t.Fatal(err)
			}
			names := []string{}
			for _, c := range claims {
				names = append(names, c.Task.TaskName)
				second.held[c.Task.TaskName] = &c
			}
			return names
		}
		own := s.Handlers.Names()
		if got := ask(outbox.ClaimFilter{Handlers: []string{"other"}, Limit: 10}); len(got) != 0 {
			t.Errorf("a worker without the handler got %v", got)
		}
		if diff := cmp.Diff([]string{"b"},
			ask(outbox.ClaimFilter{Handlers: own, Limit: 10, PipelineExecutionID: second.id})); diff != "" {
			t.Errorf("of the second run alone (-want +got):\n%s", diff)
		}
		later := second.outcome("b", pipelines.OutcomeDeferred)
		later.Until = dbtype.NewTime(s.DB.Now().Add(time.Hour))
		second.steps(func() error { return second.record(later) })
		if diff := cmp.Diff([]string{"a"}, ask(outbox.ClaimFilter{Handlers: own, Limit: 10})); diff != "" {
			t.Errorf("what is due (-want +got):\n%s", diff)
		}
		due, err := s.Outbox.NextDueAt(t.Context(), outbox.ClaimFilter{Handlers: own})
		if err != nil || !due.Equal(later.Until.Time) {
			t.Errorf("next due at %s (%v), expected %s", due, err, later.Until)
		}
		if due, err := s.Outbox.NextDueAt(t.Context(),
			outbox.ClaimFilter{Handlers: own, PipelineExecutionID: first.id}); err != nil || !due.IsZero() {
			t.Errorf("next due of the first run at %s (%v), expected never", due, err)
		}
	})
}

// TestLateOutcomeChangesNothing: whoever has lost the claim is told so, and not a byte of the database changes.
func TestLateOutcomeChangesNothing(t *testing.T) {
	t.Parallel()
	alive := inTurn((*byHand).hire, claims(1))
	cases := map[string]struct{ held, lost func(h *byHand) error }{
		"recovered":             {(*byHand).lose, (*byHand).recover},
		"recovered and claimed": {(*byHand).lose, inTurn((*byHand).recover, alive)},
		"finished before":       {alive, ends("a", pipelines.OutcomeSucceeded)},
		"failed before":         {alive, breaks("a")},
		"to be retried":         {alive, ends("a", pipelines.OutcomeFailed)},
		"retried":               {alive, inTurn(ends("a", pipelines.OutcomeFailed), claims(1))},
		"cancelled":             {alive, (*byHand).cancel},
		"cancelled and claimed": {alive, inTurn((*byHand).cancel, (*byHand).retry, claims(1))},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			enginetest.Each(t, scripted, func(t *testing.T, s *enginetest.Stack) {
				h := newByHand(t, s, "late", work("a"), work("b", "a"))
				h.steps(h.start, func() error { return c.held(h) })
				stale, worker := h.held["a"], h.worker
				h.steps(func() error { return c.lost(h) })
				h.held["a"], h.worker = stale, worker
				for _, kind := range []pipelines.OutcomeKind{
					pipelines.OutcomeSucceeded, pipelines.OutcomeFailed,
					pipelines.OutcomeDeferred, pipelines.OutcomeReleased,
				} {
					late := h.outcome("a", kind)
					late.Logs = tasks.Written{Chunks: []tasks.Chunk{{
						TaskExecutionID: late.Claim.Task.ID, Attempt: 1,
						Seq: 1, Stream: tasks.Stdout, Text: "late words",
					}}}
					before := dbtest.Dump(t, s.DB)
					if err := h.record(late); !errors.Is(err, tasks.ErrClaimLost) {
						t.Errorf("kind %d: got %v, expected %v", kind, err, tasks.ErrClaimLost)
					}
					if diff := cmp.Diff(before, dbtest.Dump(t, s.DB)); diff != "" {
						t.Errorf("kind %d: something changed (-before +after):\n%s", kind, diff)
					}
				}
			})
		})
	}
}

// TestLateOutcomeTakesNoOtherWithIt: in one group, the outcome that is late is refused and the other recorded.
func TestLateOutcomeTakesNoOtherWithIt(t *testing.T) {
	t.Parallel()
	enginetest.Each(t, scripted, func(t *testing.T, s *enginetest.Stack) {
		h := newByHand(t, s, "group", work("a"), work("b"), work("c", "a"))
		h.steps(h.start, func() error { return h.claim(2) })
		late, good := h.outcome("b", pipelines.OutcomeFailed), h.outcome("a", pipelines.OutcomeSucceeded)
		h.steps(func() error { return h.finish("b", pipelines.OutcomeSucceeded) })
		lost, err := s.Engine.RecordOutcomes(h.ctx, h.worker, []*pipelines.Outcome{late, good})
		if err != nil {
			t.Fatal(err)
		}
		if !errors.Is(lost[0], tasks.ErrClaimLost) || lost[1] != nil {
			t.Errorf("answers %v, expected the first alone to be late", lost)
		}
		for name, want := range map[string]tasks.Status{"a": tasks.Completed, "b": tasks.Completed, "c": tasks.Ready} {
			if got := taskNamed(t, h, name).Status; got != want {
				t.Errorf("task %s is %s, expected %s", name, got, want)
			}
		}
	})
}
