package engine_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluiceworks/sluice/modules/enginetest"
	"github.com/sluiceworks/sluice/modules/outbox"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// elsewhere has steps done by another engine over the same database, on behalf of workers of its own.
func elsewhere(steps ...func(h *byHand) error) func(h *byHand) error {
	return func(h *byHand) error {
		s := enginetest.New(h.t, dbtest.Open(h.t, h.s.DB.URL()), scripted...)
		other := &byHand{t: h.t, ctx: h.ctx, s: s, def: h.def, id: h.id, worker: "worker-" + dbtype.NewID().
			String(), held: map[string]*pipelines.Claim{}}
		return inTurn(steps...)(other)
	}
}

// strayed puts a row of the root into the outbox by another hand.
func strayed(h *byHand) error {
	stray(h.t, h.s, taskNamed(h.t, h, "a").ID, dbtype.NewTime(h.s.DB.Now().Add(-time.Minute)))
	return nil
}

// numbered fails the test unless a task's events are numbered 1, 2, 3 to its row's version.
func numbered(t *testing.T, h *byHand, task string) {
	t.Helper()
	list := eventsOf(t, h, task)
	for i, e := range list {
		if e.Version == nil || *e.Version != int64(i+1) {
			t.Fatalf("event %d of %s has another version: %+v", i+1, task, e)
		}
	}
	if row := taskNamed(t, h, task); row.Version != int64(len(list)) {
		t.Errorf("%s has version %d and %d events", task, row.Version, len(list))
	}
}

// TestStaleMemoryDoesNoHarm: whatever has become of a task between its start and its claim by the same process, the
// claim is of the row as it is, or there is none.
func TestStaleMemoryDoesNoHarm(t *testing.T) {
	t.Parallel()
	given := func(kind pipelines.OutcomeKind) func(*byHand) error { return elsewhere(claims(1), ends("a", kind)) }
	for name, c := range map[string]struct {
		between          func(h *byHand) error
		version, attempt int64 // of the claim; 0: there is none
		status           tasks.Status
	}{
		"nothing":              {nothing, 4, 1, ""},
		"given back elsewhere": {given(pipelines.OutcomeReleased), 7, 2, ""},
		"given back twice elsewhere": {
			inTurn(given(pipelines.OutcomeReleased), given(pipelines.OutcomeReleased)),
			10, 3, "",
		},
		"to be retried elsewhere":          {given(pipelines.OutcomeFailed), 7, 2, ""},
		"deferred elsewhere":               {given(pipelines.OutcomeDeferred), 8, 1, ""},
		"lost and recovered elsewhere":     {elsewhere((*byHand).lose, (*byHand).recover), 7, 2, ""},
		"lost elsewhere, recovered here":   {inTurn(elsewhere((*byHand).lose), (*byHand).recover), 7, 2, ""},
		"completed elsewhere":              {given(pipelines.OutcomeSucceeded), 0, 0, tasks.Completed},
		"completed elsewhere, a stray row": {inTurn(given(pipelines.OutcomeSucceeded), strayed), 0, 0, tasks.Completed},
		"paused and resumed":               {inTurn((*byHand).pause, (*byHand).resume), 4, 1, ""},
		"paused":                           {(*byHand).pause, 0, 0, tasks.Ready},
		"paused here, resumed elsewhere":   {inTurn((*byHand).pause, elsewhere((*byHand).resume)), 4, 1, ""},
		"cancelled":                        {(*byHand).cancel, 0, 0, tasks.Cancelled},
		"cancelled, a stray row":           {inTurn((*byHand).cancel, strayed), 0, 0, tasks.Cancelled},
		"cancelled and retried":            {inTurn((*byHand).cancel, (*byHand).retry), 7, 1, ""},
		"cancelled and retried elsewhere":  {elsewhere((*byHand).cancel, (*byHand).retry), 7, 1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			enginetest.Each(t, scripted, func(t *testing.T, s *enginetest.Stack) {
				h := newByHand(t, s, "stale", work("a"), work("b", "a"))
				h.steps(h.start)
				if s.Engine.Remembered() != 1 {
					t.Fatalf("%d tasks are remembered, expected the root", s.Engine.Remembered())
				}
				h.steps(func() error { return c.between(h) })
				dueSoon(t, h)
				h.steps(func() error { return h.claim(1) })
				row, held := taskNamed(t, h, "a"), h.held["a"]
				numbered(t, h, "a")
				if c.version == 0 {
					if held != nil || row.Status != c.status {
						t.Errorf("claimed: %t, and a is %s, expected %s", held != nil, row.Status, c.status)
					}
					return
				}
				if held == nil || row.WorkerID != dbtype.Text(h.worker) || row.Version != c.version ||
					int64(row.Attempt) != c.attempt {
					t.Fatalf("claimed: %t; the row is %+v, expected version %d and attempt %d", held != nil, row,
						c.version, c.attempt)
				}
				if diff := cmp.Diff(row, held.Task); diff != "" {
					t.Errorf("the claim is another than the row (-row +claim):\n%s", diff)
				}
				h.steps(func() error { return h.finish("a", pipelines.OutcomeSucceeded) },
					func() error { return h.claim(1) },
					func() error { return h.finish("b", pipelines.OutcomeSucceeded) })
				numbered(t, h, "b")
				if x, err := s.Pipelines.Get(h.ctx, h.id); err != nil || x.Status != pipelines.Completed {
					t.Errorf("the run is %s (%v)", x.Status, err)
				}
			})
		})
	}
}

// dueSoon waits for the clock to have passed what is due at once.
func dueSoon(t *testing.T, h *byHand) {
	t.Helper()
	rows, err := h.s.Outbox.ListPending(h.ctx, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		<-time.After(r.AvailableAt.Sub(h.s.DB.Now()) + time.Millisecond)
	}
}

// TestMemoryIsBounded: far more starts than are remembered leave a bounded memory, and all of it is claimed, once.
func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	const width, runs = 500, 22
	enginetest.Each(t, scripted, func(t *testing.T, s *enginetest.Stack) {
		list := works(width)
		h := newByHand(t, s, "many", list...)
		for i := range runs {
			h.steps(h.start)
			if n := s.Engine.Remembered(); n == 0 || n > engine.MostFresh || i == 0 && n != width {
				t.Fatalf("%d tasks are remembered after %d runs", n, i+1)
			}
		}
		h.steps(h.enlist)
		claimed, deadline := map[dbtype.ID]bool{}, time.Now().Add(time.Minute)
		for len(claimed) < width*runs && time.Now().Before(deadline) {
			got, err := s.Engine.Claim(h.ctx, engine.ClaimRequest{
				Worker: h.worker, LeaseExpiresAt: dbtype.NewTime(s.DB.Now().Add(time.Minute)),
				Want: outbox.ClaimFilter{Handlers: s.Handlers.Names(), Limit: 2000},
			})
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range got {
				if claimed[c.Task.ID] || c.Task.Version != 4 || c.Task.Attempt != 1 {
					t.Fatalf("claimed again or otherwise than begun: %+v", c.Task)
				}
				claimed[c.Task.ID] = true
			}
		}
		if n := s.Engine.Remembered(); len(claimed) != width*runs || n != 0 {
			t.Errorf("%d of %d tasks were claimed, and %d are still remembered", len(claimed), width*runs, n)
		}
	})
}

// TestClaimOfFreshHasItsInput: each claim the input of its own run, the pipeline and the definition, as a claim that
// reads has.
func TestClaimOfFreshHasItsInput(t *testing.T) {
	t.Parallel()
	inputs := []string{`{"n": 1, "é": [null, 1.50]}`, `{}`, `{"z": {"b": 1, "a": 2}}`, ``}
	enginetest.Each(t, scripted, func(t *testing.T, s *enginetest.Stack) {
		var requests []engine.StartRequest
		for i, name := range []string{"one", "two"} {
			def := s.Define(t, name, work(fmt.Sprint("task", i)))
			for _, in := range inputs {
				requests = append(requests, engine.StartRequest{Definition: def, Input: json.RawMessage(in)})
			}
		}
		requests = append(requests, requests...) // the second half is claimed by an engine that has to read
		started, err := s.Engine.Start(t.Context(), requests)
		if err != nil {
			t.Fatal(err)
		}
		reader := enginetest.New(t, dbtest.Open(t, s.DB.URL()), scripted...)
		for half, by := range []*enginetest.Stack{s, reader} {
			n := len(started) / 2
			worker := fmt.Sprint("w", half)
			if err := enlist(t.Context(), s, worker); err != nil {
				t.Fatal(err)
			}
			for i, x := range started[half*n : half*n+n] {
				got, err := by.Engine.Claim(t.Context(), engine.ClaimRequest{
					Worker: worker, LeaseExpiresAt: dbtype.NewTime(s.DB.Now().Add(time.Minute)),
					Want: outbox.ClaimFilter{Handlers: s.Handlers.Names(), Limit: 9, PipelineExecutionID: x.ID},
				})
				if err != nil || len(got) != 1 {
					t.Fatalf("%d claims (%v)", len(got), err)
				}
				c, in := got[0], inputs[i%len(inputs)]
				if in == "" {
					in = "{}"
				}
				same := cmp.Equal(decoded(t, json.RawMessage(in)), decoded(t, c.Input))
				if def := requests[i].Definition; !same || c.Pipeline != def.Name ||
					c.Definition.ID != def.Tasks[0].ID || c.Task.PipelineExecutionID != x.ID {
					t.Errorf("run %d: input %s, expected %s; pipeline %s, task %s", i, c.Input, in, c.Pipeline,
						c.Definition.ID)
				}
			}
		}
		if n := s.Engine.Remembered(); n != len(started)/2 {
			t.Errorf("%d are still remembered, expected those that the other engine claimed", n)
		}
	})
}

func decoded(t *testing.T, doc json.RawMessage) (v any) {
	t.Helper()
	if err := json.Unmarshal(doc, &v); err != nil {
		t.Fatalf("%q: %v", doc, err)
	}
	return v
}
