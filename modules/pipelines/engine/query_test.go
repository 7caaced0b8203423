package engine_test

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"testing"

	godiff "github.com/google/go-cmp/cmp"

	"github.com/sluiceworks/sluice/modules/enginetest"
	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/events/eventstore"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// types gives the types of events, in their order.
func types(list []events.Event) []events.Type {
	out := make([]events.Type, len(list))
	for i, e := range list {
		out[i] = e.EventType
	}
	return out
}

// chain runs a → b to its end.
func chain(t *testing.T, s *enginetest.Stack, name string) *byHand {
	t.Helper()
	h := newByHand(t, s, name, work("a"), work("b", "a"))
	h.worker = name + "-worker"
	h.steps(h.start)
	h.only = h.id
	for _, task := range []string{"a", "b"} {
		h.steps(func() error { return h.claim(1) }, func() error { return h.finish(task, pipelines.OutcomeSucceeded) })
	}
	return h
}

// TestEventsQueryableByPipeline: all of a run's events, its tasks' too, and nobody else's, in ascending order, page by
// page.
func TestEventsQueryableByPipeline(t *testing.T) {
	t.Parallel()
	enginetest.Each(t, scripted, func(t *testing.T, s *enginetest.Stack) {
		first, second := chain(t, s, "first"), chain(t, s, "second")
		for _, h := range []*byHand{first, second} {
			list, err := s.Events.ListByPipeline(h.ctx, h.id, eventstore.Page{})
			if err != nil {
				t.Fatal(err)
			}
			if len(list) != 2+2*5 {
				t.Errorf("%d events, expected started, completed and five of each task: %v", len(list), types(list))
			}
			for _, e := range list {
				if e.PipelineExecutionID != h.id {
					t.Errorf("event %d is of execution %s", e.SequenceNum, e.PipelineExecutionID)
				}
			}
			if !slices.IsSortedFunc(list,
				func(a, b events.Event) int { return cmp.Compare(a.SequenceNum, b.SequenceNum) }) {
				t.Error("the events are not in ascending order")
			}
			if diff := godiff.Diff(list, paged(t, h)); diff != "" {
				t.Errorf("page by page (-whole +paged):\n%s", diff)
			}
		}
		if list, err := s.Events.ListByPipeline(first.ctx, dbtype.NewID(), eventstore.Page{}); err != nil ||
			len(list) != 0 {
			t.Errorf("an unknown execution has %d events (%v)", len(list), err)
		}
	})
}

// paged reads a run's events five at a time.
func paged(t *testing.T, h *byHand) []events.Event {
	t.Helper()
	var all []events.Event
	for after := int64(0); ; {
		page, err := h.s.Events.ListByPipeline(h.ctx, h.id, eventstore.Page{After: after, Limit: 5})
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			return all
		}
		if len(page) > 5 {
			t.Fatalf("a page of %d, at most 5 were asked for", len(page))
		}
		all = append(all, page...)
		after = page[len(page)-1].SequenceNum
	}
}

// TestEventsQueryableByTask: a task's events alone, with the versions 1 to its own.
func TestEventsQueryableByTask(t *testing.T) {
	t.Parallel()
	enginetest.Each(t, scripted, func(t *testing.T, s *enginetest.Stack) {
		h := chain(t, s, "first")
		for _, name := range []string{"a", "b"} {
			task := taskNamed(t, h, name)
			list, err := s.Events.ListByTask(h.ctx, task.ID, eventstore.Page{})
			if err != nil {
				t.Fatal(err)
			}
			want := []events.Type{
				events.TaskCreated, events.TaskMarkedReady, events.TaskClaimed, events.TaskStarted,
				events.TaskCompleted,
			}
			if diff := godiff.Diff(want, types(list)); diff != "" {
				t.Errorf("task %s (-want +got):\n%s", name, diff)
			}
			for i, e := range list {
				if e.TaskExecutionID != task.ID || e.PipelineExecutionID != h.id || e.Version == nil ||
					*e.Version != int64(i+1) {
					t.Errorf("event %d of task %s is %+v", i, name, e)
				}
			}
			if task.Version != int64(len(list)) {
				t.Errorf("task %s has version %d and %d events", name, task.Version, len(list))
			}
		}
		if list, err := s.Events.ListByTask(h.ctx, dbtype.NewID(), eventstore.Page{}); err != nil || len(list) != 0 {
			t.Errorf("an unknown task has %d events (%v)", len(list), err)
		}
	})
}

// TestEventsQueryableByType: by a common type and by a rare one, which an index of its own serves; by none that did not
// happen.
func TestEventsQueryableByType(t *testing.T) {
	t.Parallel()
	enginetest.Each(t, scripted, func(t *testing.T, s *enginetest.Stack) {
		chain(t, s, "first")
		h := newByHand(t, s, "second", work("a"))
		h.steps(h.start, h.pause, h.cancel)
		want := map[events.Type]int{
			events.PipelineStarted: 2, events.PipelineCompleted: 1, events.PipelinePaused: 1,
			events.PipelineCancelled: 1,
			events.TaskCreated:       3, events.TaskMarkedReady: 3, events.TaskClaimed: 2, events.TaskStarted: 2,
			events.TaskCompleted: 2, events.TaskCancelled: 1,
		}
		for _, x := range events.Types() {
			list, err := s.Events.ListByType(h.ctx, x, eventstore.Page{})
			if err != nil {
				t.Fatal(err)
			}
			if len(list) != want[x] {
				t.Errorf("%d events %s, expected %d", len(list), x, want[x])
			}
			for _, e := range list {
				if e.EventType != x {
					t.Errorf("asked for %s, got %s", x, e.EventType)
				}
			}
		}
		both, err := s.Events.List(h.ctx, eventstore.Filter{PipelineExecutionID: h.id, EventType: events.TaskCreated})
		if err != nil || len(both) != 1 {
			t.Errorf("%d events task_created of the second run (%v), expected 1", len(both), err)
		}
	})
}

// TestGetRecentEvents: the newest first, no more than asked for.
func TestGetRecentEvents(t *testing.T) {
	t.Parallel()
	enginetest.Each(t, scripted, func(t *testing.T, s *enginetest.Stack) {
		h := chain(t, s, "first")
		all, err := s.Events.ListByPipeline(h.ctx, h.id, eventstore.Page{})
		if err != nil {
			t.Fatal(err)
		}
		slices.Reverse(all)
		for _, n := range []int{1, 4, len(all), 100} {
			recent, err := s.Events.GetRecent(h.ctx, n)
			if err != nil {
				t.Fatal(err)
			}
			if diff := godiff.Diff(all[:min(n, len(all))], recent); diff != "" {
				t.Errorf("the newest %d (-want +got):\n%s", n, diff)
			}
		}
	})
}

// TestManualEventWithData: an annotation keeps its data and who wrote it, has no version, moves nothing, and is refused
// when its subject does not exist or its data can't be kept.
func TestManualEventWithData(t *testing.T) {
	t.Parallel()
	enginetest.Each(t, scripted, func(t *testing.T, s *enginetest.Stack) {
		h := chain(t, s, "first")
		task := taskNamed(t, h, "a")
		before := [2]int64{task.Version, version(t, h)}
		notes := []engine.Annotation{
			{PipelineExecutionID: h.id, Data: dbtype.JSON(`{"ticket": 12}`), Actor: "somebody"},
			{TaskExecutionID: task.ID, Data: dbtype.JSON(`{"rows": 3, "note": "ünï"}`), Worker: "worker-9"},
		}
		for _, a := range notes {
			if err := s.Engine.Annotate(h.ctx, a); err != nil {
				t.Fatal(err)
			}
		}
		list, err := s.Events.ListByType(h.ctx, events.Annotation, eventstore.Page{})
		if err != nil {
			t.Fatal(err)
		}
		want := []string{"- annotation for somebody {ticket:12}", "- annotation by worker-9 {note:ünï,rows:3}"}
		if diff := godiff.Diff(want, lines(t, list)); diff != "" {
			t.Fatalf("annotations (-want +got):\n%s", diff)
		}
		if list[0].TaskExecutionID != (dbtype.ID{}) || list[1].TaskExecutionID != task.ID ||
			list[1].PipelineExecutionID != h.id {
			t.Errorf("the annotations are about %v and %v", list[0].TaskExecutionID, list[1].TaskExecutionID)
		}
		if after := [2]int64{taskNamed(t, h, "a").Version, version(t, h)}; after != before {
			t.Errorf("versions %v before and %v after: an annotation is no transition", before, after)
		}
		refusals(t, h)
	})
}

func refusals(t *testing.T, h *byHand) {
	t.Helper()
	unknown := engine.Annotation{PipelineExecutionID: dbtype.NewID(), Data: dbtype.JSON(`{}`)}
	if err := h.s.Engine.Annotate(h.ctx, unknown); !errors.Is(err, pipelines.ErrExecutionNotFound) {
		t.Errorf("an unknown execution: got %v, expected %v", err, pipelines.ErrExecutionNotFound)
	}
	unknown.TaskExecutionID = dbtype.NewID()
	if err := h.s.Engine.Annotate(h.ctx, unknown); !errors.Is(err, tasks.ErrNotFound) {
		t.Errorf("an unknown task: got %v, expected %v", err, tasks.ErrNotFound)
	}
	for _, data := range []string{``, `{`, `3`, `null`, `[{}]`, `{"a": "\u0000"}`, "{\"a\": \"\xff\"}", `{"a": "` +
		strings.Repeat("x", tasks.MaxOutput) + `"}`} {
		if err := h.s.Engine.Annotate(h.ctx,
			engine.Annotation{PipelineExecutionID: h.id, Data: dbtype.JSON(data)}); err == nil {
			t.Errorf("data %.20q was taken", data)
		}
	}
	if n, err := h.s.Events.ListByType(h.ctx, events.Annotation, eventstore.Page{}); err != nil || len(n) != 2 {
		t.Errorf("%d annotations after the refusals (%v), expected the first 2", len(n), err)
	}
}

// version is the run's own.
func version(t *testing.T, h *byHand) int64 {
	t.Helper()
	x, err := h.s.Pipelines.Get(h.ctx, h.id)
	if err != nil {
		t.Fatal(err)
	}
	return x.Version
}
