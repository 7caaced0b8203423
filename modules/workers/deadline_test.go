package workers_test

import (
	"context"
	"testing"
	"time"

	"github.com/sluiceworks/sluice/modules/enginetest"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/modules/workers"
)

// TestPoolEndsRunAtItsDeadline: a worker ends a run whose task it has claimed when the timeout is over, long before it
// would look for overdue runs without that, and the handler is stopped.
func TestPoolEndsRunAtItsDeadline(t *testing.T) {
	stopped := make(chan struct{}, 2) // one for each database
	hang := tasks.NewHandler("hang", func(ctx context.Context, _ map[string]any) (any, error) {
		<-ctx.Done()
		stopped <- struct{}{}
		return nil, context.Cause(ctx)
	})
	enginetest.Each(t, []tasks.Handler{hang}, func(t *testing.T, s *enginetest.Stack) {
		ctx := t.Context()
		stop := s.Work(t, ctx, workers.Config{Slots: 1, Lease: time.Hour})
		def := s.Define(t, "limited", definition.Task{ID: "a", Uses: "hang"})
		def.Timeout = time.Second
		x := s.Wait(t, ctx, s.Start(t, ctx, def, ""))
		if x.Status != pipelines.Failed || x.Error != "pipeline timeout of 1s is over" {
			t.Errorf("execution: %+v", x)
		}
		if took := x.CompletedAt.Sub(x.CreatedAt.Time); took < time.Second {
			t.Errorf("ended after %s, before its timeout", took)
		}
		<-stopped
		stop()
	})
}
