package workers_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluiceworks/sluice/modules/enginetest"
	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/modules/workers"
)

// nobody sees that no worker is registered any more.
func nobody(t *testing.T, s *enginetest.Stack) {
	t.Helper()
	if list, err := s.Leases.List(context.Background()); err != nil || len(list) > 0 {
		t.Errorf("workers after all have stopped: %+v (%v)", list, err)
	}
}

// TestDrainWaitsForWhatRuns: a stopping pool claims nothing more, waits for its handlers, records how they came out,
// and takes itself off.
func TestDrainWaitsForWhatRuns(t *testing.T) {
	onSeveral(t, func(t *testing.T, open func(...tasks.Handler) *enginetest.Stack) {
		ctx, g := context.Background(), newGate()
		s := open(g.handler("gate"))
		list := wideTasks(8, "gate")
		list = append(list, definition.Task{ID: "next", Needs: []string{"t0000"}, Uses: "gate"})
		id := s.Start(t, ctx, s.Define(t, "drain", list...), "")
		stop, logs := observed(t, s, workers.Config{Slots: 3, Drain: time.Minute})
		for range 3 {
			<-g.entered
		}
		stopped := make(chan struct{})
		go func() { stop(); close(stopped) }()
		// It has no free slot, so that it can't claim before it hears of the stop only if it is let out after: a slot
		// that frees before may be taken once more.
		close(g.out)
		<-stopped
		now, completed := runningTasks(t, s.DB)
		if now != 0 || completed < 3 {
			t.Errorf("%d tasks are Running and %d Completed after the drain, want 0 and at least the 3 that ran", now,
				completed)
		}
		if started := int64(3 + len(g.entered)); completed != started {
			t.Errorf("%d handlers ran, %d tasks Completed", started, completed)
		}
		for _, e := range logs.All() {
			t.Errorf("the pool says: %s", e.Message)
		}
		nobody(t, s)
		s.Work(t, ctx, workers.Config{Slots: 3})
		if e := s.Wait(t, ctx, id); e.Status != pipelines.Completed {
			t.Errorf("status %s", e.Status)
		}
	})
}

// TestDrainGivesBack: what does not end in time is Ready again at once, without having used up its only attempt, and
// another pool completes it.
func TestDrainGivesBack(t *testing.T) {
	onSeveral(t, func(t *testing.T, open func(...tasks.Handler) *enginetest.Stack) {
		ctx, called := context.Background(), make(chan string, 10)
		scripted := &enginetest.Scripted{Called: called}
		first, second := open(scripted), open(scripted)
		id := first.Start(t, ctx, first.Define(t, "drain", step("a", nil, "hang", "ok"), step("b", []string{"a"})), "")
		stop, _ := observed(t, first, workers.Config{Slots: 2, Drain: 10 * time.Millisecond})
		<-called
		stop()
		x := taskRow(t, first, id, "a")
		e, data := lastEvent(t, first, x.ID)
		got := []any{
			x.Status, x.MaxAttempts, x.Recoveries, string(x.WorkerID), e.EventType, data["cause"],
			data["reason"], data["worker"] == string(e.WorkerID),
		}
		want := []any{tasks.Ready, 2, 0, "", events.TaskReset, tasks.CauseOperator, "the worker is stopping", true}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("the task given back (-want +got):\n%s", diff)
		}
		if rows, err := first.Outbox.ListPending(ctx, 0); err != nil || len(rows) != 1 ||
			rows[0].TaskExecutionID != x.ID {
			t.Errorf("outbox %+v (%v), want the task's row", rows, err)
		}
		nobody(t, first)
		stop = second.Work(t, ctx, workers.Config{Slots: 2})
		second.Wait(t, ctx, id)
		stop()
		nobody(t, second)
		if diff := cmp.Diff(map[string]string{
			"pipeline": "started completed", "b": ran,
			"a": "created marked_ready claimed started reset claimed started completed",
		}, sequences(t, second, id)); diff != "" {
			t.Errorf("history (-want +got):\n%s", diff)
		}
	})
}

// TestDrainRecordsWhatEndsLate: a handler that completes when its context ends has completed, and is not run again.
func TestDrainRecordsWhatEndsLate(t *testing.T) {
	onSeveral(t, func(t *testing.T, open func(...tasks.Handler) *enginetest.Stack) {
		ctx, entered := context.Background(), make(chan struct{}, 1)
		s := open(&poolHandler{"late", func(ctx context.Context, _ *tasks.Attempt) (json.RawMessage, error) {
			entered <- struct{}{}
			<-ctx.Done()
			return json.RawMessage(`"in time"`), nil
		}})
		id := s.Start(t, ctx, s.Define(t, "drain", definition.Task{ID: "a", Uses: "late"}), "")
		stop := s.Work(t, ctx, workers.Config{Slots: 1, Drain: time.Millisecond})
		<-entered
		stop()
		if x := taskRow(t, s, id, "a"); x.Status != tasks.Completed || string(x.Output) != `"in time"` {
			t.Errorf("the task is %s with output %s", x.Status, x.Output)
		}
		nobody(t, s)
	})
}

// TestDrainLeavesTheDeaf: a handler that ignores the end of its context does not keep its worker: it is given back
// without it.
func TestDrainLeavesTheDeaf(t *testing.T) {
	onSeveral(t, func(t *testing.T, open func(...tasks.Handler) *enginetest.Stack) {
		ctx, g := context.Background(), newGate()
		s := open(g.handler("gate"))
		list := wideTasks(2, "gate")
		list[1].Timeout = 20 * time.Millisecond
		id := s.Start(t, ctx, s.Define(t, "drain", list...), "")
		stop := s.Work(t, ctx, workers.Config{Slots: 2, Drain: time.Millisecond})
		<-g.entered
		<-g.entered
		stop()
		if x := taskRow(t, s, id, "t0000"); x.Status != tasks.Ready {
			t.Errorf("the task of a deaf handler is %s after the drain, want Ready", x.Status)
		}
		if x := taskRow(t, s, id, "t0001"); x.Status != tasks.Failed && x.Status != tasks.Ready {
			t.Errorf("the task of a deaf handler that ran out of time is %s after the drain", x.Status)
		}
		nobody(t, s)
		close(g.out) // what they return now reaches nobody
		s.Work(t, ctx, workers.Config{Slots: 2})
		s.Wait(t, ctx, id)
	})
}
