package workers_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

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

var (
	okHandler  = &poolHandler{"ok", func(context.Context, *tasks.Attempt) (json.RawMessage, error) { return nil, nil }}
	badHandler = &poolHandler{"bad", func(context.Context, *tasks.Attempt) (json.RawMessage, error) {
		return nil, errors.New("it went wrong")
	}}
	echoHandler = &poolHandler{
		"echo",
		func(_ context.Context, call *tasks.Attempt) (json.RawMessage, error) { return call.With, nil },
	}
)

func quoted(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

// lastKind is the kind of error of the event that ended the run's last task.
func lastKind(t *testing.T, s *enginetest.Stack, x pipelines.Execution) string {
	t.Helper()
	list, err := s.Events.List(t.Context(), eventstore.Filter{PipelineExecutionID: x.ID})
	if err != nil {
		t.Fatal(err)
	}
	kind := ""
	for _, e := range list {
		if e.EventType != events.TaskFailed && e.EventType != events.TaskAbandoned {
			continue
		}
		var data struct {
			ErrorKind string `json:"error_kind"`
		}
		if err := json.Unmarshal(e.EventData, &data); err != nil {
			t.Fatal(err)
		}
		kind = data.ErrorKind
	}
	return kind
}

// TestPast: settings and conditions read how dependencies ended, and the run.
func TestPast(t *testing.T) {
	enginetest.Each(t, []tasks.Handler{okHandler, badHandler, echoHandler}, func(t *testing.T, s *enginetest.Stack) {
		ctx := t.Context()
		s.Work(t, ctx, workers.Config{Slots: 4})
		said := `"${{ toJSON([needs.good.status, needs.good.result, needs.good.error, needs.good.attempts, ` +
			`needs.bad.status, needs.bad.result, ` +
			`needs.bad.error, needs.bad.attempts, needs.not.result, needs.good.error_kind, needs.bad.error_kind, ` +
			`run.id, run.pipeline, run.attempt, run.due_at]) }}"`
		retry := tasks.RetryPolicy{MaxAttempts: 2, Backoff: tasks.Fixed, Delay: time.Millisecond}
		needs := []string{"good", "bad", "not"}
		def := s.Define(
			t, "past",
			definition.Task{ID: "good", Uses: "ok"},
			definition.Task{ID: "bad", Uses: "bad", Retry: retry},
			definition.Task{ID: "not", Uses: "ok", If: "false"},
			definition.Task{
				ID: "say", Uses: "echo", Needs: needs, TriggerRule: "all_done",
				With: json.RawMessage(`{"v": ` + said + `}`),
				If: `needs.good.result == "success" and needs.bad.attempts == 2 * run.attempt
					and needs.bad.error contains "went wrong" and run.pipeline == "past"
					and needs.bad.error_kind == "error" and needs.good.error_kind == nil and run.due_at == nil`,
			},
			definition.Task{
				ID: "quiet", Uses: "ok", Needs: needs, TriggerRule: "all_done",
				If: `needs.bad.status == "Completed"`,
			},
		)
		id := s.Start(t, ctx, def, "")
		for attempt := 1; attempt <= 2; attempt++ {
			if x := s.Wait(t, ctx, id); x.Attempt != attempt {
				t.Errorf("the run's attempt is %d, want %d", x.Attempt, attempt)
			}
			checkPast(t, s, id, attempt)
			if attempt == 1 {
				must(t, s.Engine.Retry(ctx, engine.ControlRequest{ID: id, Actor: "test"}, ""))
			}
		}
	})
}

// checkPast sees what the tasks of TestPast have read.
func checkPast(t *testing.T, s *enginetest.Stack, id dbtype.ID, attempt int) {
	t.Helper()
	list, err := s.Tasks.ListByPipeline(t.Context(), id)
	must(t, err)
	want := fmt.Sprintf(
		`["Completed","success",null,1,"Failed","failure","it went wrong",%d,"skipped",null,"error","%s","past",%d,`+
			`null]`, 2*attempt, id, attempt)
	for _, row := range list {
		switch row.TaskName {
		case "say":
			var out struct{ V string }
			if err := json.Unmarshal(row.Output, &out); err != nil || out.V != want {
				t.Errorf("%s %s: %s (%v), want %s", row.Status, row.Error, out.V, err, want)
			}
		case "bad":
			if row.ErrorKind != tasks.KindError {
				t.Errorf("error_kind of bad is %q", row.ErrorKind)
			}
		case "quiet":
			if row.Status != tasks.Skipped {
				t.Errorf("quiet is %s: %s", row.Status, row.Error)
			}
		}
	}
}
