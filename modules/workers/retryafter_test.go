package workers_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/sluiceworks/sluice/modules/enginetest"
	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/events/eventstore"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/modules/workers"
)

// TestRetryAfter: an error may put the next attempt off for longer than the policy does, and never brings it forward.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	busy := tasks.NewHandler("busy", func(ctx context.Context, in struct {
		Wait int64 `json:"wait"`
	},
	) (struct{}, error) {
		if call, _ := tasks.AttemptFrom(ctx); call.Number > 1 {
			return struct{}{}, nil
		}
		return struct{}{}, tasks.RetryAfter(tasks.WithKind(tasks.KindHTTP, errors.New("429")),
			time.Duration(in.Wait)*time.Millisecond)
	})
	policy := tasks.RetryPolicy{MaxAttempts: 2, Backoff: tasks.Fixed, Delay: 100 * time.Millisecond}
	for name, c := range map[string]struct {
		wait string
		want int64
	}{"later": {"400", 400}, "sooner": {"1", 100}, "past": {"-5000", 100}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			enginetest.Each(t, []tasks.Handler{busy}, func(t *testing.T, s *enginetest.Stack) {
				ctx := t.Context()
				stop := s.Work(t, ctx, workers.Config{Slots: 1})
				defer stop()
				def := s.Define(t, "p", definition.Task{
					ID: "a", Uses: "busy",
					With: json.RawMessage(`{"wait": ` + c.wait + `}`), Retry: policy,
				})
				id := s.Start(t, ctx, def, "")
				if x := s.Wait(t, ctx, id); x.Status != pipelines.Completed {
					t.Fatalf("%s: %s", x.Status, x.Error)
				}
				list, err := s.Events.List(ctx,
					eventstore.Filter{PipelineExecutionID: id, EventType: events.TaskRetryScheduled})
				if err != nil || len(list) != 1 {
					t.Fatalf("%v: %d retries", err, len(list))
				}
				var data struct {
					DelayMS   int64  `json:"delay_ms"`
					ErrorKind string `json:"error_kind"`
				}
				if err := json.Unmarshal(list[0].EventData, &data); err != nil || data.DelayMS != c.want ||
					data.ErrorKind != "http" {
					t.Errorf("%v: %+v, want a delay of %d ms", err, data, c.want)
				}
			})
		})
	}
}
