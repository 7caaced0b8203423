package workers_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluiceworks/sluice/modules/enginetest"
	"github.com/sluiceworks/sluice/modules/events/eventstore"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/modules/workers"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// step is a task of the scripted handler.
func step(id string, needs []string, do ...string) definition.Task {
	with, err := json.Marshal(map[string]any{"do": do})
	if err != nil {
		panic(err)
	}
	t := definition.Task{ID: id, Needs: needs, Uses: "scripted"}
	if len(do) > 0 {
		t.With = with
	}
	return t
}

func (o option) to(t definition.Task) definition.Task { o(&t); return t }

type option func(*definition.Task)

func attempts(n int) option {
	return func(t *definition.Task) {
		t.Retry = tasks.RetryPolicy{MaxAttempts: n, Backoff: tasks.Fixed, Delay: time.Millisecond}
	}
}

func rule(r definition.TriggerRule) option { return func(t *definition.Task) { t.TriggerRule = r } }

func condition(c string) option { return func(t *definition.Task) { t.If = c } }

func timeout(d time.Duration) option { return func(t *definition.Task) { t.Timeout = d } }

const ran = "created marked_ready claimed started completed"

// sequences gives the events of each task, and of the pipeline under its own name, in short.
func sequences(t *testing.T, s *enginetest.Stack, id dbtype.ID) map[string]string {
	t.Helper()
	ctx := context.Background()
	list, err := s.Events.ListByPipeline(ctx, id, eventstore.Page{})
	if err != nil {
		t.Fatal(err)
	}
	all, err := s.Tasks.ListByPipeline(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	names := map[dbtype.ID]string{}
	for _, x := range all {
		names[x.ID] = x.TaskName
	}
	out := map[string]string{}
	for _, e := range list {
		name, short := "pipeline", strings.TrimPrefix(string(e.EventType), "pipeline_")
		if !e.TaskExecutionID.IsZero() {
			name, short = names[e.TaskExecutionID], strings.TrimPrefix(string(e.EventType), "task_")
		}
		out[name] = strings.TrimSpace(out[name] + " " + short)
	}
	return out
}

// TestGoldenEventSequences is the exact history of each shape of graph and each way that a task may go.
func TestGoldenEventSequences(t *testing.T) {
	cases := []struct {
		name  string
		tasks []definition.Task
		want  map[string]string
	}{
		{
			"chain",
			[]definition.Task{step("a", nil), step("b", []string{"a"}), step("c", []string{"b"})},
			map[string]string{"pipeline": "started completed", "a": ran, "b": ran, "c": ran},
		},
		{
			"diamond",
			[]definition.Task{
				step("a", nil), step("b", []string{"a"}), step("c", []string{"a"}),
				step("d", []string{"b", "c"}),
			},
			map[string]string{"pipeline": "started completed", "a": ran, "b": ran, "c": ran, "d": ran},
		},
		{
			"wide",
			[]definition.Task{step("a", nil), step("b", nil), step("c", nil), step("d", nil)},
			map[string]string{"pipeline": "started completed", "a": ran, "b": ran, "c": ran, "d": ran},
		},
		{
			"retry",
			[]definition.Task{attempts(3).to(step("a", nil, "error", "panic", "ok")), step("b", []string{"a"})},
			map[string]string{
				"pipeline": "started completed", "b": ran,
				"a": "created marked_ready claimed started retry_scheduled claimed started retry_scheduled claimed " +
					"started completed",
			},
		},
		{
			"failure cascades",
			[]definition.Task{
				attempts(2).to(step("a", nil, "error")), step("b", []string{"a"}),
				step("c", []string{"b"}),
			},
			map[string]string{
				"pipeline": "started failed", "b": "created skipped", "c": "created skipped",
				"a": "created marked_ready claimed started retry_scheduled claimed started failed",
			},
		},
		{
			"permanent error",
			[]definition.Task{attempts(5).to(step("a", nil, "permanent"))},
			map[string]string{"pipeline": "started failed", "a": "created marked_ready claimed started failed"},
		},
		{
			"output that is not JSON",
			[]definition.Task{attempts(5).to(step("a", nil, "bad"))},
			map[string]string{"pipeline": "started failed", "a": "created marked_ready claimed started failed"},
		},
		{
			"timeout",
			[]definition.Task{timeout(20 * time.Millisecond).to(step("a", nil, "hang"))},
			map[string]string{"pipeline": "started failed", "a": "created marked_ready claimed started failed"},
		},
		{
			"failure and alert",
			[]definition.Task{
				step("a", nil, "error"), rule(definition.OneFailed).to(step("alert", []string{"a"})),
				rule(definition.AllDone).to(step("clean", []string{"a"})), step("next", []string{"a"}),
			},
			map[string]string{
				"pipeline": "started failed", "a": "created marked_ready claimed started failed", "alert": ran,
				"clean": ran,
				"next":  "created skipped",
			},
		},
		{
			"clean-up handles nothing",
			[]definition.Task{step("a", nil, "error"), rule(definition.Always).to(step("clean", []string{"a"}))},
			map[string]string{
				"pipeline": "started failed", "a": "created marked_ready claimed started failed",
				"clean": ran,
			},
		},
		{
			"skip by condition",
			[]definition.Task{
				step("a", nil), condition(`needs.a.attempt > 1`).to(step("b", []string{"a"})), step("c", []string{"b"}),
				rule(definition.NoneFailed).to(step("d", []string{"b", "a"})),
			},
			map[string]string{
				"pipeline": "started completed", "a": ran, "b": "created skipped", "c": "created skipped",
				"d": ran,
			},
		},
		{
			"all roots skipped",
			[]definition.Task{condition("false").to(step("a", nil)), step("b", []string{"a"})},
			map[string]string{"pipeline": "started completed", "a": "created skipped", "b": "created skipped"},
		},
		{
			"condition that fails",
			[]definition.Task{
				step("a", nil), condition(`needs.a.task + 1 > 2`).to(step("b", []string{"a"})),
				step("c", []string{"b"}),
			},
			map[string]string{"pipeline": "started failed", "a": ran, "b": "created abandoned", "c": "created skipped"},
		},
		{
			"deferral",
			[]definition.Task{attempts(1).to(step("a", nil, "defer", "defer", "ok")), step("b", []string{"a"})},
			map[string]string{
				"pipeline": "started completed", "b": ran,
				"a": "created marked_ready claimed started deferred claimed resumed started deferred claimed resumed " +
					"started completed",
			},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			enginetest.Each(t, []tasks.Handler{&enginetest.Scripted{}}, func(t *testing.T, s *enginetest.Stack) {
				ctx := context.Background()
				def := s.Define(t, "golden", c.tasks...)
				s.Work(t, ctx, workers.Config{Slots: 4})
				id := s.Start(t, ctx, def, "")
				s.Wait(t, ctx, id)
				if diff := cmp.Diff(c.want, sequences(t, s, id)); diff != "" {
					t.Errorf("history (-want +got):\n%s", diff)
				}
				if n, err := s.Outbox.CountPending(ctx); err != nil || n != 0 {
					t.Errorf("outbox holds %d rows after a drain (%v)", n, err)
				}
			})
		})
	}
}

// TestGoldenControl is the exact history of pause, resume, cancel and restart.
func TestGoldenControl(t *testing.T) {
	scripted := &enginetest.Scripted{Called: make(chan string, 100)}
	enginetest.Each(t, []tasks.Handler{scripted}, func(t *testing.T, s *enginetest.Stack) {
		ctx := context.Background()
		def := s.Define(t, "golden", step("a", nil, "error", "ok"), step("b", []string{"a"}), step("side", nil))
		order := engine.ControlRequest{Reason: "because", Actor: "somebody"}

		order.ID = s.Start(t, ctx, def, "")
		must(t, s.Engine.Pause(ctx, order))
		if n, err := s.Outbox.CountPending(ctx); err != nil || n != 0 {
			t.Fatalf("a paused pipeline has %d outbox rows (%v)", n, err)
		}
		must(t, s.Engine.Resume(ctx, order))
		s.Work(t, ctx, workers.Config{Slots: 4})
		if e := s.Wait(t, ctx, order.ID); e.Status != pipelines.Failed {
			t.Fatalf("status %s, want Failed", e.Status)
		}
		must(t, s.Engine.Retry(ctx, order, ""))
		if e := s.Wait(t, ctx, order.ID); e.Status != pipelines.Completed {
			t.Fatalf("status %s, want Completed", e.Status)
		}
		want := map[string]string{
			"pipeline": "started paused resumed failed restarted completed", "side": ran,
			"a": "created marked_ready claimed started failed reset marked_ready claimed started completed",
			"b": "created skipped reset marked_ready claimed started completed",
		}
		if diff := cmp.Diff(want, sequences(t, s, order.ID)); diff != "" {
			t.Errorf("history (-want +got):\n%s", diff)
		}
	})
}

// TestGoldenCancel: a cancelled pipeline's tasks end with it, running ones too, whose late outcome leaves nothing.
func TestGoldenCancel(t *testing.T) {
	enginetest.Each(t, nil, func(t *testing.T, base *enginetest.Stack) {
		ctx := context.Background()
		scripted := &enginetest.Scripted{Called: make(chan string, 10)}
		s := enginetest.New(t, base.DB, scripted)
		def := s.Define(t, "golden", step("a", nil, "hang", "ok"), step("b", []string{"a"}))
		stop := s.Work(t, ctx, workers.Config{Slots: 4})
		id := s.Start(t, ctx, def, "")
		<-scripted.Called
		must(t, s.Engine.Cancel(ctx, engine.ControlRequest{ID: id, Reason: "enough", Actor: "somebody"}))
		stop() // the handler's context has been cancelled and its outcome refused
		want := map[string]string{
			"pipeline": "started cancelled", "a": "created marked_ready claimed started cancelled",
			"b": "created cancelled",
		}
		if diff := cmp.Diff(want, sequences(t, s, id)); diff != "" {
			t.Errorf("history (-want +got):\n%s", diff)
		}
		must(t, s.Engine.Retry(ctx, engine.ControlRequest{ID: id}, ""))
		s.Work(t, ctx, workers.Config{Slots: 4})
		if e := s.Wait(t, ctx, id); e.Status != pipelines.Completed {
			t.Errorf("status %s after the retry, want Completed", e.Status)
		}
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
