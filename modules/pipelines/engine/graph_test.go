package engine_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluiceworks/sluice/modules/enginetest"
	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/outbox"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// TestRunKeepsItsDefinition: a definition that is registered while a run of an older one is under way changes nothing
// for it, whichever process goes on with it; the next start has the new one.
func TestRunKeepsItsDefinition(t *testing.T) {
	t.Parallel()
	enginetest.Each(t, scripted, func(t *testing.T, s *enginetest.Stack) {
		old := newByHand(t, s, "changing", work("a"), withRule(work("b", "a"), definition.AllFailed), work("c", "a"))
		changed := s.Define(t, "changing", work("a"), work("b", "a"), work("d", "a"))
		old.steps(func() error { return remember(old) }, old.start, func() error { return old.claim(1) })
		if _, err := s.Engine.Register(t.Context(), changed, time.Time{}); err != nil {
			t.Fatal(err)
		}
		old.s = enginetest.New(t, s.DB, scripted...) // another process, which has read nothing yet
		old.steps(func() error { return old.finish("a", pipelines.OutcomeSucceeded) })
		for name, want := range map[string]tasks.Status{"b": tasks.Skipped, "c": tasks.Ready} {
			if got := taskNamed(t, old, name).Status; got != want {
				t.Errorf("task %s of the old run is %s, expected %s", name, got, want)
			}
		}
		newest, err := s.Engine.Registered(t.Context(), "changing")
		if err != nil {
			t.Fatal(err)
		}
		next := &byHand{t: t, ctx: t.Context(), s: s, def: newest, worker: "w", held: map[string]*pipelines.Claim{}}
		next.steps(next.start)
		if got := taskNamed(t, next, "d").Status; got != tasks.NotStarted {
			t.Errorf("task d of the new run is %s", got)
		}
		old.steps(func() error { return old.claim(10) },
			func() error { return old.finish("c", pipelines.OutcomeSucceeded) })
	})
}

// TestOutputsArriveInDeclaredOrder: in whatever order the predecessors end, their join is given the same.
func TestOutputsArriveInDeclaredOrder(t *testing.T) {
	t.Parallel()
	orders := [][]string{
		{"a", "b", "c"},
		{"a", "c", "b"},
		{"b", "a", "c"},
		{"b", "c", "a"},
		{"c", "a", "b"},
		{"c", "b", "a"},
	}
	enginetest.Each(t, scripted, func(t *testing.T, s *enginetest.Stack) {
		sink := work("join", "c", "a", "b")
		sink.With = json.RawMessage(
			`{"z": "${{ needs.c }}", "y": "${{ needs.a.by }}", "x": "${{ needs.b.by }} and ${{ needs.c.by }}"}`)
		want := `{"x":"b and c","y":"a","z":{"by":"c"}}`
		for _, order := range orders {
			h := newByHand(t, s, "join", work("a"), work("b"), work("c"), sink)
			h.steps(h.start, func() error { return h.claim(3) })
			for _, name := range order {
				h.steps(func() error { return h.finish(name, pipelines.OutcomeSucceeded) })
			}
			h.steps(func() error { return h.claim(1) })
			claim := h.held["join"]
			if diff := cmp.Diff([]string{"c", "a", "b"}, claim.Definition.RequiredOutputs()); diff != "" {
				t.Fatalf("order %v: outputs needed (-declared +got):\n%s", order, diff)
			}
			resolved, err := claim.Definition.Resolve(t.Context(), claim.Values())
			if err != nil {
				t.Fatal(err)
			}
			if got := compact(t, resolved.With); got != want {
				t.Errorf("order %v: the join is given %s, expected %s", order, got, want)
			}
			h.steps(func() error { return h.finish("join", pipelines.OutcomeSucceeded) })
		}
	})
}

func compact(t *testing.T, doc json.RawMessage) string {
	t.Helper()
	var v any
	if err := json.Unmarshal(doc, &v); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestPredecessorsThatEndTogether: two workers, each with a handle of its own, end the two predecessors of a join at
// the same moment, again and again: the join becomes ready once, and neither sees an error.
func TestPredecessorsThatEndTogether(t *testing.T) {
	t.Parallel()
	const rounds = 40
	enginetest.Each(t, scripted, func(t *testing.T, s *enginetest.Stack) {
		sides := []*enginetest.Stack{s, enginetest.New(t, dbtest.Open(t, s.DB.URL()), scripted...)}
		for range rounds {
			h := newByHand(t, s, "join", work("a"), work("b"), work("join", "a", "b"))
			h.steps(h.start, func() error { return h.claim(2) })
			errs := make([]error, len(sides))
			var group sync.WaitGroup
			for i, name := range []string{"a", "b"} {
				o := h.outcome(name, pipelines.OutcomeSucceeded)
				group.Go(func() {
					lost, err := sides[i].Engine.RecordOutcomes(h.ctx, h.worker, []*pipelines.Outcome{o})
					errs[i] = errors.Join(append(lost, err)...)
				})
			}
			group.Wait()
			if err := errors.Join(errs...); err != nil {
				t.Fatal(err)
			}
			want := []events.Type{events.TaskCreated, events.TaskMarkedReady}
			if diff := cmp.Diff(want, types(eventsOf(t, h, "join"))); diff != "" {
				t.Fatalf("the join (-want +got):\n%s", diff)
			}
			for _, side := range sides { // the clock of the one that made it ready may be ahead of the other's reading
				h.s = side
				h.steps(func() error { return h.claim(2) })
			}
			h.steps(func() error { return h.finish("join", pipelines.OutcomeSucceeded) })
		}
	})
}

// TestClaimsInTheOrderOfDueTimes: first due, first served, and of those due together the first enqueued. A handler that
// defers to a time that is past, whichever, comes back at once, and last.
func TestClaimsInTheOrderOfDueTimes(t *testing.T) {
	t.Parallel()
	enginetest.Each(t, scripted, func(t *testing.T, s *enginetest.Stack) {
		var want []string
		for i := range 5 {
			n := newByHand(t, s, "next", work(fmt.Sprintf("n%d", i)))
			n.steps(n.start)
			want = append(want, fmt.Sprintf("n%d", i))
		}
		for _, past := range []dbtype.Time{
			{},
			dbtype.NewTime(time.Unix(0, 0)),
			dbtype.NewTime(s.DB.Now().Add(-time.Minute)),
		} {
			h := newByHand(t, s, "back", work("back"))
			h.steps(h.start)
			h.only = h.id
			h.steps(func() error { return h.claim(1) })
			back := h.outcome("back", pipelines.OutcomeDeferred)
			back.Until = past
			h.steps(func() error { return h.record(back) })
			want = append(want, "back")
		}
		if err := enlist(t.Context(), s, "w"); err != nil {
			t.Fatal(err)
		}
		claims, err := s.Engine.Claim(t.Context(), engine.ClaimRequest{
			Worker: "w", LeaseExpiresAt: dbtype.NewTime(s.DB.Now()),
			Want: outbox.ClaimFilter{Handlers: s.Handlers.Names(), Limit: 10},
		})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, c := range claims {
			got = append(got, c.Task.TaskName)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("claimed (-want +got):\n%s", diff)
		}
	})
}
