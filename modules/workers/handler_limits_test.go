package workers_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluiceworks/sluice/modules/audit/audittest"
	"github.com/sluiceworks/sluice/modules/enginetest"
	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/events/eventstore"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/modules/workers"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// crowd counts how many handlers of a kind run at once, by worker and in all.
type crowd struct {
	mu    sync.Mutex
	now   map[string]int
	most  map[string]int
	begun atomic.Int64
}

func newCrowd() *crowd { return &crowd{now: map[string]int{}, most: map[string]int{}} }

func (c *crowd) enter(by string) (leave func()) {
	c.begun.Add(1)
	step := func(n int) {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, who := range []string{by, "all"} {
			c.now[who] += n
			c.most[who] = max(c.most[who], c.now[who])
		}
	}
	step(1)
	return func() { step(-1) }
}

// handler does what a task's attempt says, and counts meanwhile: every third task fails at first, every fifth is
// deferred once.
func (c *crowd) handler(name string) tasks.Handler {
	return &poolHandler{name, func(ctx context.Context, call *tasks.Attempt) (json.RawMessage, error) {
		defer c.enter(call.Worker)()
		tick := time.NewTimer(time.Millisecond)
		defer tick.Stop()
		<-tick.C
		var n int
		if _, err := fmt.Sscanf(call.TaskName, "t%d", &n); err != nil {
			return nil, tasks.NonRetryable(err)
		}
		switch {
		case n%3 == 0 && call.Number == 1:
			return nil, errors.New("not yet")
		case n%5 == 0 && !call.Resumed:
			return nil, tasks.DeferUntil(call.Now().Add(time.Millisecond), "a moment")
		}
		return json.RawMessage(`{}`), nil
	}}
}

// mixed is chains of three, each of whose tasks is of the one or the other handler, and a fan-out of both.
func mixed(n int, handlers ...string) []definition.Task {
	list := wideTasks(n, "")
	for i := range list {
		list[i].Uses = handlers[i/2%len(handlers)]
		list[i].Retry = tasks.RetryPolicy{MaxAttempts: 3, Backoff: tasks.Fixed, Delay: time.Millisecond}
		switch {
		case i >= n/2:
			list[i].Needs = []string{list[0].ID}
		case i%3 > 0:
			list[i].Needs = []string{list[i-1].ID}
		}
	}
	return list
}

// TestLimitsHold: under load, with failures, deferrals and successors, no worker runs more tasks of a handler than its
// limit, while others use the slots that are left; and at the end no room is taken by nobody.
func TestLimitsHold(t *testing.T) {
	const slots, limit, n = 12, 3, 300
	onSeveral(t, func(t *testing.T, open func(...tasks.Handler) *enginetest.Stack) {
		ctx := context.Background()
		narrow, wide := newCrowd(), newCrowd()
		handlers := []tasks.Handler{tasks.WithLimit(narrow.handler("narrow"), limit), wide.handler("wide")}
		stacks := []*enginetest.Stack{open(handlers...), open(handlers...)}
		var pools []*workers.Pool
		var ids []dbtype.ID
		var working sync.WaitGroup
		serving, stop := context.WithCancel(ctx)
		for _, s := range stacks {
			ids = append(ids, s.Start(t, ctx, s.Define(t, "mixed", mixed(n, "narrow", "wide")...), ""))
			pool := s.Pool(workers.Config{Slots: slots, Poll: 50 * time.Millisecond})
			pools = append(pools, pool)
			working.Go(func() {
				if err := pool.Run(serving); err != nil {
					t.Error(err)
				}
			})
		}
		for i, s := range stacks {
			if e := s.Wait(t, ctx, ids[i]); e.Status != pipelines.Completed {
				t.Errorf("status %s: %s", e.Status, e.Error)
			}
		}
		stop()
		working.Wait()
		for who, most := range narrow.most {
			if who != "all" && most > limit {
				t.Errorf("%s ran %d tasks of a handler with the limit %d", who, most, limit)
			}
		}
		if narrow.most["all"] < 2 || wide.most["all"] <= limit {
			t.Errorf("at most %d with a limit and %d without ran at once", narrow.most["all"], wide.most["all"])
		}
		for _, p := range pools {
			state := p.State()
			if state.Used != 0 || len(state.Capacities) != 1 || state.Capacities[0].Handler != "narrow" ||
				state.Capacities[0].Limit != limit || state.Capacities[0].Used != 0 {
				t.Errorf("at the end: %+v", state)
			}
		}
	})
}

// countedClaims counts the exchanges of a pool that could claim.
type countedClaims struct {
	workers.Observer
	n atomic.Int64
}

func (o *countedClaims) Claimed(int, time.Duration)           { o.n.Add(1) }
func (o *countedClaims) Ran(string, time.Duration)            {}
func (o *countedClaims) Waited(string, string, time.Duration) {}
func (o *countedClaims) RunEnded(*pipelines.Execution)        {}
func (o *countedClaims) Recorded(int, time.Duration)          {}
func (o *countedClaims) Finished(pipelines.OutcomeKind)       {}
func (o *countedClaims) Lost()                                {}
func (o *countedClaims) Recovered(int)                        {}
func (o *countedClaims) RecoveryFailed()                      {}
func (o *countedClaims) NotStarted()                          {}

// TestFullHandlerStopsNobody: behind 2,000 tasks of a handler that is full, others are run; no turn is taken for the
// full one; and when there is room again, all of its tasks are.
func TestFullHandlerStopsNobody(t *testing.T) {
	const slots, limit, flood, few = 64, 20, 2000, 200
	onSeveral(t, func(t *testing.T, open func(...tasks.Handler) *enginetest.Stack) {
		ctx, g, wide := context.Background(), newGate(), newCrowd()
		s := open(tasks.WithLimit(g.handler("gate"), limit), wide.handler("wide"), &enginetest.Scripted{})
		full := s.Start(t, ctx, s.Define(t, "full", wideTasks(flood, "gate")...), "")
		var made countedClaims
		s.Work(t, ctx, workers.Config{Slots: slots, Poll: 10 * time.Millisecond, Observer: &made})
		for range limit {
			<-g.entered
		}
		id := s.Start(t, ctx, s.Define(t, "others", wideTasks(few, "scripted")...), "")
		if e := s.Wait(t, ctx, id); e.Status != pipelines.Completed {
			t.Errorf("status %s", e.Status)
		}
		if running, _ := runningTasks(t, s.DB); running != limit || len(g.entered) > 0 {
			t.Errorf("%d tasks of the full handler are Running, and %d more have begun", running, len(g.entered))
		}
		before := made.n.Load()
		<-time.After(500 * time.Millisecond) // fifty polls
		if n := made.n.Load() - before; n > 5 {
			t.Errorf("%d exchanges were made although there was nothing to claim", n)
		}
		go func() {
			for range flood - limit {
				<-g.entered
			}
		}()
		close(g.out)
		if e := s.Wait(t, ctx, full); e.Status != pipelines.Completed {
			t.Errorf("status %s", e.Status)
		}
	})
}

// TestFloodStopsNoLimited: tasks of a handler that was full have their turn beside 2,000 others, as soon as there is
// room.
func TestFloodStopsNoLimited(t *testing.T) {
	const slots, limit, flood, few = 4, 2, 2000, 12
	onSeveral(t, func(t *testing.T, open func(...tasks.Handler) *enginetest.Stack) {
		ctx, g := context.Background(), newGate()
		s := open(tasks.WithLimit(g.handler("gate"), limit), &enginetest.Scripted{})
		limited := s.Start(t, ctx, s.Define(t, "limited", wideTasks(few, "gate")...), "")
		s.Work(t, ctx, workers.Config{Slots: slots})
		for range limit {
			<-g.entered
		}
		id := s.Start(t, ctx, s.Define(t, "flood", wideTasks(flood, "scripted")...), "")
		s.Until(t, ctx, id, func(e pipelines.Execution) bool { return e.OpenTasks < flood-20 })
		close(g.out)
		first, last := s.Wait(t, ctx, limited), s.Wait(t, ctx, id)
		list, err := s.Events.ListByPipeline(ctx, id, eventstore.Page{})
		must(t, err)
		after := 0
		for _, e := range list {
			if e.EventType == events.TaskClaimed && e.CreatedAt.After(first.CompletedAt.Time) {
				after++
			}
		}
		if after < flood/4 {
			t.Errorf("of the flood (%s) only %d were claimed after the %d others had ended (%s)", last.Status, after,
				few, first.Status)
		}
	})
}

// TestFullHandlerNeedsNoPoll: what becomes due of a full handler is run as soon as there is room, without a poll; and a
// successor that there is no room for goes through the outbox.
func TestFullHandlerNeedsNoPoll(t *testing.T) {
	enginetest.Each(t, nil, func(t *testing.T, base *enginetest.Stack) {
		ctx, g := context.Background(), newGate()
		s := enginetest.New(t, base.DB, tasks.WithLimit(g.handler("gate"), 1), &enginetest.Scripted{})
		s.Work(t, ctx, workers.Config{Slots: 8, Poll: time.Hour})
		held := s.Start(t, ctx, s.Define(t, "held", wideTasks(1, "gate")...), "")
		<-g.entered
		list := []definition.Task{step("first", nil, "defer", "ok")}
		for _, x := range wideTasks(20, "gate") {
			x.Needs = []string{"first"}
			list = append(list, x)
		}
		id := s.Start(t, ctx, s.Define(t, "later", list...), "")
		s.Until(t, ctx, id, func(e pipelines.Execution) bool { return e.OpenTasks == 20 })
		for range 20 {
			if len(g.entered) > 0 {
				t.Error("a handler has begun although there is no room")
			}
			g.out <- struct{}{}
			<-g.entered
		}
		close(g.out)
		for _, id := range []dbtype.ID{held, id} {
			if e := s.Wait(t, ctx, id); e.Status != pipelines.Completed {
				t.Errorf("status %s", e.Status)
			}
		}
	})
}

// TestFullHandlerLeavesTheRestToOthers: what one process has no room for, another with room takes.
func TestFullHandlerLeavesTheRestToOthers(t *testing.T) {
	onSeveral(t, func(t *testing.T, open func(...tasks.Handler) *enginetest.Stack) {
		ctx, first, second := context.Background(), newGate(), newGate()
		s, other := open(tasks.WithLimit(first.handler("gate"), 2)), open(tasks.WithLimit(second.handler("gate"), 3))
		id := s.Start(t, ctx, s.Define(t, "wide", wideTasks(6, "gate")...), "")
		s.Work(t, ctx, workers.Config{Slots: 8})
		for range 2 {
			<-first.entered
		}
		other.Work(t, ctx, workers.Config{Slots: 8})
		for range 3 {
			<-second.entered
		}
		if n, err := s.Outbox.CountPending(ctx); n != 1 || err != nil {
			t.Errorf("%d tasks are left in the outbox (%v)", n, err)
		}
		close(second.out)
		<-second.entered // the last one
		close(first.out)
		if e := s.Wait(t, ctx, id); e.Status != pipelines.Completed {
			t.Errorf("status %s", e.Status)
		}
	})
}

// TestFleetSharesLimits: the tenants of a process together never run more tasks of a handler than its limit, and a lone
// one has all of it.
func TestFleetSharesLimits(t *testing.T) {
	const slots, limit, each = 16, 3, 6
	enginetest.Each(t, nil, func(t *testing.T, base *enginetest.Stack) {
		g := newGate()
		s := enginetest.New(t, base.DB, tasks.WithLimit(g.handler("gate"), limit))
		def := s.Define(t, "wide", wideTasks(each, "gate")...)
		names := []string{"a", "b", "c"}
		ids := map[string]dbtype.ID{"a": s.Start(t, inTenant(t, s.DB, "a"), def, "")}
		stop, _ := fleetOf(t, s, workers.TenantPoolsConfig{Config: workers.Config{Slots: slots}})
		for range limit {
			<-g.entered // the lone tenant has all
		}
		for _, name := range names[1:] {
			ctx := inTenant(t, s.DB, name)
			ids[name] = s.Start(t, ctx, def, "")
			dbtest.Eventually(t, "the tenant is served", func() bool {
				list, err := s.Leases.List(ctx)
				return err == nil && len(list) == 1
			})
		}
		for range 3*each - limit {
			g.out <- struct{}{}
			<-g.entered
			running := 0
			for _, name := range names {
				list, err := s.Tasks.ListRunning(db.WithTenant(context.Background(), name))
				must(t, err)
				running += len(list)
			}
			if running > limit || len(g.entered) > 0 {
				t.Errorf("%d tasks run, and %d more have begun, with the limit %d", running, len(g.entered), limit)
			}
		}
		close(g.out)
		for _, name := range names {
			ctx := db.WithTenant(context.Background(), name)
			s.Wait(t, ctx, ids[name])
			audittest.CheckTenant(ctx, t, s.DB)
		}
		must(t, stop())
	})
}

// TestFleetLimitGivesWay: a tenant with many tasks of a full handler waiting gives way to one with few.
func TestFleetLimitGivesWay(t *testing.T) {
	const slots, limit, flood, few = 16, 2, 400, 4
	enginetest.Each(t, nil, func(t *testing.T, base *enginetest.Stack) {
		handler := &poolHandler{"narrow", func(context.Context, *tasks.Attempt) (json.RawMessage, error) {
			<-time.After(2 * time.Millisecond) // or a short delay of the machine is many tasks
			return json.RawMessage(`{}`), nil
		}}
		s := enginetest.New(t, base.DB, handler)
		big, small := inTenant(t, s.DB, "big"), inTenant(t, s.DB, "small")
		chains := wideTasks(flood, "narrow")
		for i := range chains {
			if i%20 > 0 {
				chains[i].Needs = []string{chains[i-1].ID} // a successor, which might keep the room of what ended
			}
		}
		bulk := s.Start(t, big, s.Define(t, "chains", chains...), "")
		stop, _ := fleetOf(t, s,
			workers.TenantPoolsConfig{
				Config: workers.Config{Slots: slots, HandlerLimits: map[string]int{"narrow": limit}},
			})
		s.Until(t, big, bulk, func(e pipelines.Execution) bool { return e.OpenTasks < flood-10 })
		id := s.Start(t, small, s.Define(t, "wide", wideTasks(few, "narrow")...), "")
		done := s.Wait(t, small, id)
		s.Wait(t, big, bulk)
		must(t, stop())
		gaveWay(big, t, s, done, flood/4)
		audittest.CheckTenant(big, t, s.DB)
		audittest.CheckTenant(small, t, s.DB)
	})
}

// TestDrainGivesRoomBack: what a stopping worker gives back, another runs; and the worker's row tells its limits.
func TestDrainGivesRoomBack(t *testing.T) {
	enginetest.Each(t, nil, func(t *testing.T, base *enginetest.Stack) {
		ctx := context.Background()
		entered := make(chan struct{}, 100)
		hang := &poolHandler{"hang", func(ctx context.Context, _ *tasks.Attempt) (json.RawMessage, error) {
			entered <- struct{}{}
			<-ctx.Done()
			return nil, ctx.Err()
		}}
		s := enginetest.New(t, base.DB, tasks.WithLimit(hang, 2))
		id := s.Start(t, ctx, s.Define(t, "wide", wideTasks(5, "hang")...), "")
		pool := s.Pool(workers.Config{Slots: 4, Drain: time.Millisecond})
		working, stop := context.WithCancel(ctx)
		ended := make(chan error, 1)
		go func() { ended <- pool.Run(working) }()
		for range 2 {
			<-entered
		}
		list, err := s.Leases.List(ctx)
		must(t, err)
		if len(list) != 1 || list[0].Limits != "hang=2" {
			t.Errorf("workers: %+v", list)
		}
		dbtest.Eventually(t, "the claims are entered", func() bool { return pool.State().Capacities[0].Used == 2 })
		stop()
		must(t, <-ended)
		if state := pool.State(); state.Used != 0 || state.Capacities[0].Used != 0 || len(entered) > 0 {
			t.Errorf("after the drain: %+v, %d more begun", state, len(entered))
		}
		if n, err := s.Outbox.CountPending(ctx); n != 5 || err != nil {
			t.Errorf("%d tasks in the outbox (%v)", n, err)
		}
		must(t, s.Engine.Cancel(ctx, engine.ControlRequest{ID: id}))
	})
}
