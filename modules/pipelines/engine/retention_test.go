package engine_test

import (
	"errors"
	"testing"

	"github.com/sluiceworks/sluice/modules/enginetest"
	"github.com/sluiceworks/sluice/modules/events/eventstore"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// counted reads how many events a run has and how many of them retention has taken.
func counted(t *testing.T, h *byHand) (events, removed int64) {
	t.Helper()
	events, err := h.s.Events.CountByPipeline(h.ctx, h.id)
	if err != nil {
		t.Fatal(err)
	}
	x, err := h.s.Pipelines.Get(h.ctx, h.id)
	if err != nil {
		t.Fatal(err)
	}
	return events, x.EventsRemoved
}

// removable counts what retention would take, and of how many runs.
func removable(t *testing.T, h *byHand, cutoff dbtype.Time) [2]int64 {
	t.Helper()
	events, executions, err := h.s.Retention.CountEvents(h.ctx, cutoff)
	if err != nil {
		t.Fatal(err)
	}
	return [2]int64{events, executions}
}

// TestEventCountAndDeletion: retention takes the events of runs that ended before the cutoff, says how many beforehand,
// marks those runs, and touches no other: not one that runs, not one that ended later, not what was written later. The
// checker, which ends this test, takes a marked run for what it is.
func TestEventCountAndDeletion(t *testing.T) {
	t.Parallel()
	enginetest.Each(t, scripted, func(t *testing.T, s *enginetest.Stack) {
		running := newByHand(t, s, "running", work("a"))
		running.steps(running.start)
		ended := []*byHand{chain(t, s, "first"), chain(t, s, "second")}
		begin := dbtype.NewTime(s.DB.Now().Add(-1e12))
		if got := removable(t, running, begin); got != [2]int64{0, 0} {
			t.Errorf("%v events and runs are older than any, expected none", got)
		}
		cutoff := dbtype.NewTime(s.DB.Now())
		later := chain(t, s, "later")
		note := engine.Annotation{PipelineExecutionID: ended[0].id, Data: dbtype.JSON(`{"kept": true}`)}
		if err := s.Engine.Annotate(t.Context(), note); err != nil {
			t.Fatal(err)
		}
		if got := removable(t, running, cutoff); got != [2]int64{24, 2} {
			t.Errorf("%v events and runs can go, expected 24 of 2", got)
		}
		var told []int64
		removed, err := s.Retention.RemoveEvents(t.Context(), cutoff, func(n int64) { told = append(told, n) })
		if err != nil {
			t.Fatal(err)
		}
		if removed != 24 || len(told) == 0 || told[len(told)-1] != 24 {
			t.Errorf("%d events were removed, and progress said %v; expected 24", removed, told)
		}
		for h, want := range map[*byHand][2]int64{
			running: {3, 0}, ended[0]: {1, 12}, ended[1]: {0, 12},
			later: {12, 0},
		} {
			if n, marked := counted(t, h); n != want[0] || marked != want[1] {
				t.Errorf("run %s has %d events and %d removed, expected %v", h.def.Name, n, marked, want)
			}
		}
		again(t, s, cutoff)
		closed(t, ended[1])
	})
}

// again: what is marked is not looked at again.
func again(t *testing.T, s *enginetest.Stack, cutoff dbtype.Time) {
	t.Helper()
	before := dbtest.Dump(t, s.DB)
	if n, err := s.Retention.RemoveEvents(t.Context(), cutoff, nil); err != nil || n != 0 {
		t.Errorf("a second time %d events were removed (%v), expected none", n, err)
	}
	if after := dbtest.Dump(t, s.DB); len(after["execution_events"]) != len(before["execution_events"]) {
		t.Errorf("%d events before and %d after", len(before["execution_events"]), len(after["execution_events"]))
	}
}

// closed: a run without its history can't go on, for its events could not be continued.
func closed(t *testing.T, h *byHand) {
	t.Helper()
	if err := h.retry(); !errors.Is(err, pipelines.ErrInvalidState) {
		t.Errorf("a retry: got %v, expected %v", err, pipelines.ErrInvalidState)
	}
	note := engine.Annotation{PipelineExecutionID: h.id, Data: dbtype.JSON(`{}`)}
	if err := h.s.Engine.Annotate(h.ctx, note); !errors.Is(err, pipelines.ErrInvalidState) {
		t.Errorf("an annotation: got %v, expected %v", err, pipelines.ErrInvalidState)
	}
}

// TestRetentionInBatches: more runs than one batch holds lose their events all the same, each batch whole.
func TestRetentionInBatches(t *testing.T) {
	t.Parallel()
	const runs = 250 // 100 go at a time
	enginetest.Each(t, scripted, func(t *testing.T, s *enginetest.Stack) {
		def := s.Define(t, "none", withCondition(work("a"), "false"))
		requests := make([]engine.StartRequest, runs)
		for i := range requests {
			requests[i].Definition = def
		}
		if _, err := s.Engine.Start(t.Context(), requests); err != nil {
			t.Fatal(err)
		}
		var told []int64
		n, err := s.Retention.RemoveEvents(t.Context(), dbtype.NewTime(s.DB.Now().Add(1e9)),
			func(n int64) { told = append(told, n) })
		if err != nil {
			t.Fatal(err)
		}
		if n != runs*4 || len(told) < 3 {
			t.Errorf("%d events were removed in the steps %v, expected %d in at least 3", n, told, runs*4)
		}
		if left, err := s.Events.List(t.Context(), eventstore.Filter{}); err != nil || len(left) != 0 {
			t.Errorf("%d events are left (%v)", len(left), err)
		}
	})
}

// TestRetentionIsAtomic: if the mark of a run can't be written, its events stay.
func TestRetentionIsAtomic(t *testing.T) {
	t.Parallel()
	enginetest.Each(t, scripted, func(t *testing.T, s *enginetest.Stack) {
		chain(t, s, "first")
		cutoff := dbtype.NewTime(s.DB.Now().Add(1e9))
		before := dbtest.Dump(t, s.DB)
		for _, f := range []dbtest.Fault{
			{Table: "pipeline_executions", On: "UPDATE"},
			{Table: "pipeline_executions", On: "UPDATE", AtCommit: true},
			{Table: "execution_events", On: "DELETE", When: "OLD.event_type = 'pipeline_completed'"},
		} {
			mend := dbtest.Inject(t, s.DB, f)
			n, err := s.Retention.RemoveEvents(t.Context(), cutoff, nil)
			mend()
			if !dbtest.Injected(err) || n != 0 {
				t.Errorf("%s: %d events removed, error %v, expected none and the fault", f, n, err)
			}
			if after := dbtest.Dump(t, s.DB); len(after["execution_events"]) != len(before["execution_events"]) {
				t.Errorf("%s: %d events before and %d after", f, len(before["execution_events"]),
					len(after["execution_events"]))
			}
		}
	})
}
