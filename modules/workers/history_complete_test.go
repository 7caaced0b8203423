package workers_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluiceworks/sluice/modules/enginetest"
	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/events/eventstore"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/modules/workers"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// noting is a handler that writes an annotation.
type noting struct{}

func (noting) Name() string               { return "noting" }
func (noting) Check(map[string]any) error { return nil }

func (noting) Run(ctx context.Context, call *tasks.Attempt) (json.RawMessage, error) {
	return nil, call.Annotate(ctx, map[string]int{"attempt": call.Number})
}

// TestEveryEventTypeAppears drives the program, not the data layer, until each declared type has been written by it.
func TestEveryEventTypeAppears(t *testing.T) {
	t.Parallel()
	enginetest.Each(t, nil, func(t *testing.T, base *enginetest.Stack) {
		ctx := t.Context()
		scripted := &enginetest.Scripted{Called: make(chan string, 100)}
		s := enginetest.New(t, base.DB, scripted, noting{})
		busy := s.Define(t, "busy",
			step("fine", nil), attempts(2).to(step("flaky", nil, "error", "ok")), step("patient", nil, "defer", "ok"),
			definition.Task{ID: "note", Uses: "noting"}, step("broken", nil, "permanent"),
			step("after", []string{"broken"}),
			condition(`needs.fine.task + 1 > 2`).to(step("unclear", []string{"fine"})))
		hung := s.Define(t, "hung", step("slow", nil, "hang", "ok"))
		idle := s.Define(t, "idle", step("never", nil))
		order := engine.ControlRequest{Reason: "because", Actor: "somebody"}

		order.ID = s.Start(t, ctx, idle, "")
		must(t, s.Engine.Pause(ctx, order))
		must(t, s.Engine.Resume(ctx, order))
		must(t, s.Engine.Cancel(ctx, order))
		stop := s.Work(t, ctx, workers.Config{Slots: 8, Poll: 10 * time.Millisecond, Drain: time.Millisecond})
		order.ID = s.Start(t, ctx, busy, "")
		if x := s.Wait(t, ctx, order.ID); x.Status != pipelines.Failed {
			t.Errorf("the busy run is %s, expected Failed", x.Status)
		}
		must(t, s.Engine.Retry(ctx, order, "broken"))
		s.Wait(t, ctx, order.ID)
		slow := s.Start(t, ctx, hung, "")
		for name := range scripted.Called {
			if name == "slow" {
				break
			}
		}
		stop() // the pool gives the hanging task back
		s.Work(t, ctx, workers.Config{Slots: 8, Poll: 10 * time.Millisecond})
		s.Wait(t, ctx, slow)

		for _, x := range events.Types() {
			list, err := s.Events.ListByType(ctx, x, eventstore.Page{})
			if err != nil {
				t.Fatal(err)
			}
			if len(list) == 0 {
				t.Errorf("the program never wrote %s", x)
			}
		}
		annotated(t, s)
	})
}

// annotated: a handler's annotation knows its task and its worker.
func annotated(t *testing.T, s *enginetest.Stack) {
	t.Helper()
	list, err := s.Events.ListByType(t.Context(), events.Annotation, eventstore.Page{})
	if err != nil || len(list) != 1 {
		t.Fatalf("%d annotations (%v), expected 1", len(list), err)
	}
	task, err := s.Tasks.Get(t.Context(), list[0].TaskExecutionID)
	if err != nil {
		t.Fatal(err)
	}
	if task.TaskName != "note" || list[0].WorkerID != task.WorkerID || list[0].WorkerID == "" ||
		!strings.Contains(string(list[0].EventData), `"attempt"`) {
		t.Errorf("the annotation is %+v, of task %s by %s", list[0], task.TaskName, task.WorkerID)
	}
}

// TestEveryAttemptsErrorIsKept: each failed attempt leaves its own event with its own error, although a later one
// succeeds.
func TestEveryAttemptsErrorIsKept(t *testing.T) {
	t.Parallel()
	enginetest.Each(t, []tasks.Handler{&enginetest.Scripted{}}, func(t *testing.T, s *enginetest.Stack) {
		ctx := t.Context()
		def := s.Define(t, "errors", timeout(50*time.Millisecond).
			to(attempts(9).to(step("a", nil, "error", "panic", "hang", "error", "ok"))))
		s.Work(t, ctx, workers.Config{Slots: 2, Poll: 10 * time.Millisecond})
		id := s.Start(t, ctx, def, "")
		s.Wait(t, ctx, id)
		list, err := s.Events.List(ctx,
			eventstore.Filter{PipelineExecutionID: id, EventType: events.TaskRetryScheduled})
		if err != nil {
			t.Fatal(err)
		}
		want := []string{
			"error: call 1 of a fails", "panic: panic: a handler's panic", "timeout: timed out after 50ms",
			"error: call 4 of a fails",
		}
		if len(list) != len(want) {
			t.Fatalf("%d failed attempts are in the history, expected %d", len(list), len(want))
		}
		for i, e := range list {
			var data struct {
				Attempt   int
				Error     string
				ErrorKind string `json:"error_kind"`
			}
			must(t, json.Unmarshal(e.EventData, &data))
			if got := data.ErrorKind + ": " + data.Error; data.Attempt != i+1 || !strings.HasPrefix(got, want[i]) {
				t.Errorf("attempt %d failed with %.80q, expected %q", data.Attempt, got, want[i])
			}
			if data.ErrorKind == string(tasks.KindPanic) &&
				!strings.Contains(data.Error, "enginetest.(*Scripted).Run") {
				t.Errorf("a panic without its stack: %s", data.Error)
			}
		}
		all, err := s.Tasks.ListByPipeline(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		if a := all[0]; a.Status != tasks.Completed || a.Attempt != 5 || a.Error != "" {
			t.Errorf("the task is %s after attempt %d with the error %q", a.Status, a.Attempt, a.Error)
		}
	})
}

// recorder is a handler that keeps what each task was given, and fails its first call where the task is told to.
type recorder struct{ got chan string }

func (recorder) Name() string               { return "recorder" }
func (recorder) Check(map[string]any) error { return nil }

func (r recorder) Run(_ context.Context, call *tasks.Attempt) (json.RawMessage, error) {
	needs, err := json.Marshal(call.Needs)
	if err == nil {
		r.got <- string(call.With) + string(needs) + string(call.Input)
	}
	return nil, err
}

// TestHandlersAreGivenTheSame: however the predecessors race, their join is given the same, byte for byte.
func TestHandlersAreGivenTheSame(t *testing.T) {
	t.Parallel()
	enginetest.Each(t, nil, func(t *testing.T, base *enginetest.Stack) {
		const runs = 20
		r := recorder{got: make(chan string, runs)}
		s := enginetest.New(t, base.DB, &enginetest.Scripted{}, r)
		def := s.Define(t, "same", step("c", nil), step("a", nil), step("b", nil), definition.Task{
			ID: "join", Uses: "recorder", Needs: []string{"c", "a", "b"},
			With: json.RawMessage(`{"z": "${{ needs.c.task }}", "y": "${{ needs.a }}", "x": "${{ needs.b.task }}"}`),
		})
		s.Work(t, t.Context(), workers.Config{Slots: 8})
		var ids []dbtype.ID
		for range runs {
			ids = append(ids, s.Start(t, t.Context(), def, ""))
		}
		for _, id := range ids {
			s.Wait(t, t.Context(), id)
		}
		close(r.got)
		first, n := <-r.got, 1
		for other := range r.got {
			n++
			if diff := cmp.Diff(first, other); diff != "" {
				t.Fatalf("run %d (-first +this):\n%s", n, diff)
			}
		}
		if n != runs || !strings.Contains(first, `"z": "c"`) && !strings.Contains(first, `"z":"c"`) {
			t.Errorf("%d joins ran, the first was given %s", n, first)
		}
	})
}
