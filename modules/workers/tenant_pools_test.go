package workers_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/sluiceworks/sluice/modules/audit/audittest"
	"github.com/sluiceworks/sluice/modules/enginetest"
	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/events/eventstore"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/modules/workers"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// fleetOf runs a fleet until stop is called, which gives how it ended.
func fleetOf(
	t *testing.T, s *enginetest.Stack, c workers.TenantPoolsConfig,
) (stop func() error, logs *observer.ObservedLogs) {
	t.Helper()
	core, logs := observer.New(zapcore.InfoLevel)
	fleet := workers.NewTenantPools(c, workers.Deps{
		DB: s.DB, Engine: s.Engine, Tasks: s.Tasks, Outbox: s.Outbox, Leases: s.Leases, Handlers: s.Handlers,
		Log: zap.New(core),
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- fleet.Run(ctx) }()
	stop = func() error {
		cancel()
		err := <-done
		done <- err
		return err
	}
	t.Cleanup(func() { _ = stop() })
	return stop, logs
}

func inTenant(t *testing.T, d *db.DB, name string) context.Context {
	t.Helper()
	ctx := db.WithTenant(context.Background(), name)
	must(t, d.CreateTenant(ctx))
	return ctx
}

// gaveWay checks that no more than so many tasks of the context's tenant were claimed while another's execution was
// open.
func gaveWay(ctx context.Context, t *testing.T, s *enginetest.Stack, other pipelines.Execution, most int) {
	t.Helper()
	list, err := s.Events.List(ctx, eventstore.Filter{})
	must(t, err)
	between := 0
	for _, e := range list {
		if e.EventType == events.TaskClaimed && e.CreatedAt.After(other.CreatedAt.Time) &&
			e.CreatedAt.Before(other.CompletedAt.Time) {
			between++
		}
	}
	if between > most {
		t.Errorf("%d tasks of the flood were claimed while the others waited", between)
	}
}

// TestFleetFairness: one tenant has a thousand tasks queued and all slots taken; another's few run within a few groups
// of them.
func TestFleetFairness(t *testing.T) {
	const slots, flood, few = 4, 1000, 3
	var runs atomic.Int64
	handler := &poolHandler{"quick", func(context.Context, *tasks.Attempt) (json.RawMessage, error) {
		runs.Add(1)
		return json.RawMessage(`{}`), nil
	}}
	enginetest.Each(t, []tasks.Handler{handler}, func(t *testing.T, s *enginetest.Stack) {
		big, small := inTenant(t, s.DB, "big"), inTenant(t, s.DB, "small")
		wide := s.Define(t, "wide", wideTasks(flood, "quick")...)
		bulk := s.Start(t, big, wide, "")
		stop, _ := fleetOf(t, s, workers.TenantPoolsConfig{Config: workers.Config{Slots: slots}})
		s.Until(t, big, bulk, func(e pipelines.Execution) bool { return e.OpenTasks < flood-10 })
		id := s.Start(t, small, s.Define(t, "wide", wideTasks(few, "quick")...), "")
		done := s.Wait(t, small, id)
		s.Wait(t, big, bulk)
		must(t, stop())
		gaveWay(big, t, s, done, flood/4)
		mine, err := s.Events.List(small, eventstore.Filter{})
		must(t, err)
		for _, e := range mine {
			if e.PipelineExecutionID != id {
				t.Errorf("the small tenant has an event of %s", e.PipelineExecutionID)
			}
		}
		audittest.CheckTenant(big, t, s.DB)
		audittest.CheckTenant(small, t, s.DB)
	})
}

// TestFleetSharesSlots: the tenants together never have more handlers running than there are slots, and a lone one has
// them all.
func TestFleetSharesSlots(t *testing.T) {
	const slots = 4
	enginetest.Each(t, nil, func(t *testing.T, base *enginetest.Stack) {
		g := newGate()
		s := enginetest.New(t, base.DB, g.handler("gate"))
		names := []string{"a", "b", "c"}
		ids := map[string]dbtype.ID{}
		def := s.Define(t, "wide", wideTasks(8, "gate")...)
		ids["a"] = s.Start(t, inTenant(t, s.DB, "a"), def, "")
		stop, _ := fleetOf(t, s, workers.TenantPoolsConfig{Config: workers.Config{Slots: slots}})
		for range slots {
			<-g.entered // the lone tenant has them all
		}
		for _, name := range names[1:] {
			ids[name] = s.Start(t, inTenant(t, s.DB, name), def, "")
		}
		for range 3*8 - slots {
			if len(g.entered) > 0 {
				t.Error("a handler runs without a slot")
			}
			g.out <- struct{}{}
			<-g.entered
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

// TestFleetComesAndGoes: tenants are served when they are made, not any more when they are dropped, and again when they
// are made anew; what was running of a dropped one ends at once, and the log says so once.
func TestFleetComesAndGoes(t *testing.T) {
	enginetest.Each(t, nil, func(t *testing.T, base *enginetest.Stack) {
		g := newGate()
		t.Cleanup(func() { close(g.out) })
		began, ended := make(chan string, 100), make(chan string, 100)
		hung := &poolHandler{"hung", func(ctx context.Context, call *tasks.Attempt) (json.RawMessage, error) {
			g.entered <- call.TaskName
			<-ctx.Done()
			return nil, context.Cause(ctx)
		}}
		s := enginetest.New(t, base.DB, hung, &enginetest.Scripted{})
		operator := enginetest.New(t, openAgain(t, s.DB), hung, &enginetest.Scripted{})
		stop, logs := fleetOf(t, s, workers.TenantPoolsConfig{
			Config: workers.Config{Slots: 2, Drain: workers.DefaultDrain}, PollInterval: 50 * time.Millisecond,
			BeforePoolStart: func(ctx context.Context) error { return s.DB.CheckSchema(ctx) },
			OnPoolStart:     func(name string, _ *workers.Pool) { began <- name },
			OnPoolStop:      func(name string) { ended <- name },
		})
		if name := <-began; name != db.DefaultTenant {
			t.Errorf("first it serves %s", name)
		}
		for round := range 2 {
			ctx := inTenant(t, operator.DB, "acme")
			if name := <-began; name != "acme" {
				t.Errorf("it serves %s", name)
			}
			id := operator.Start(t, ctx, operator.Define(t, "ok", step("a", nil, "ok")), "")
			operator.Wait(t, ctx, id)
			operator.Start(t, ctx, operator.Define(t, "hang", wideTasks(3, "hung")...), "")
			<-g.entered
			<-g.entered
			must(t, operator.DB.DropTenant(ctx, nil))
			if name := <-ended; name != "acme" {
				t.Errorf("it ended serving %s", name)
			}
			dbtest.Eventually(t, "the log tells",
				func() bool { return logs.FilterMessageSnippet("tenant no longer exists").Len() == round+1 })
		}
		if n := logs.FilterMessageSnippet("tenant no longer exists").FilterField(zap.String("tenant", "acme")).
			Len(); n != 2 {
			t.Errorf("the tenant is named in %d of 2", n)
		}
		before := logs.Len()
		id := operator.Start(t, context.Background(), operator.Define(t, "ok", step("a", nil, "ok")), "")
		operator.Wait(t, context.Background(), id) // both slots are free again
		must(t, stop())
		if logs.Len() != before {
			t.Errorf("it goes on telling: %v", logs.All()[before:])
		}
	})
}

func openAgain(t *testing.T, d *db.DB) *db.DB {
	t.Helper()
	again, err := db.Open(context.Background(), d.URL())
	must(t, err)
	t.Cleanup(func() { must(t, again.Close()) })
	return again
}

// TestFleetRefusals: one tenant that can't be served is told of once and tried again; the others are served. Of named
// ones all must be there, and one at least be fit.
func TestFleetRefusals(t *testing.T) {
	enginetest.Each(t, []tasks.Handler{&enginetest.Scripted{}}, func(t *testing.T, s *enginetest.Stack) {
		ctx := inTenant(t, s.DB, "fit")
		inTenant(t, s.DB, "unfit")
		var unfit atomic.Bool
		unfit.Store(true)
		c := workers.TenantPoolsConfig{
			Config: workers.Config{Slots: 1}, PollInterval: 5 * time.Millisecond,
			BeforePoolStart: func(ctx context.Context) error {
				if db.TenantOf(ctx) == "unfit" && unfit.Load() {
					return errors.New("behind")
				}
				return nil
			},
		}
		var tried atomic.Int64
		prepare := c.BeforePoolStart
		c.BeforePoolStart = func(ctx context.Context) error {
			tried.Add(1)
			return prepare(ctx)
		}
		stop, logs := fleetOf(t, s, c)
		s.Wait(t, ctx, s.Start(t, ctx, s.Define(t, "ok", step("a", nil, "ok")), ""))
		dbtest.Eventually(t, "it is tried again", func() bool { return tried.Load() > 6 })
		if n := logs.FilterMessage("the tenant is not served").Len(); n != 1 {
			t.Errorf("told %d times", n)
		}
		unfit.Store(false)
		late := db.WithTenant(context.Background(), "unfit")
		s.Wait(t, late, s.Start(t, late, s.Define(t, "ok", step("a", nil, "ok")), ""))
		must(t, stop())
		alone := func(names ...string) error {
			c.Tenants = names
			return workers.NewTenantPools(c, workers.Deps{
				DB: s.DB, Engine: s.Engine, Tasks: s.Tasks, Outbox: s.Outbox, Leases: s.Leases, Handlers: s.Handlers,
				Log: zap.NewNop(),
			}).Run(context.Background())
		}
		for _, names := range [][]string{{"fit", "missing"}, {"missing"}} {
			if err := alone(names...); !errors.Is(err, db.ErrTenantNotFound) {
				t.Errorf("%v: %v", names, err)
			}
		}
		unfit.Store(true)
		err := alone("unfit")
		if err == nil || !strings.Contains(err.Error(), "behind") {
			t.Errorf("one that is unfit, alone: %v", err)
		}
	})
}

// TestWakesOfOneTenant: a commit in one tenant wakes its own workers and nobody else's, and so loses nobody's signal.
func TestWakesOfOneTenant(t *testing.T) {
	enginetest.Each(t, []tasks.Handler{&enginetest.Scripted{}}, func(t *testing.T, s *enginetest.Stack) {
		var signals []<-chan struct{}
		names := []string{"a", "b", "c"}
		for _, name := range names {
			ready, end := s.Engine.Notifier().SubscribeReady(inTenant(t, s.DB, name))
			defer end()
			signals = append(signals, ready)
		}
		for i, name := range names {
			ctx := db.WithTenant(context.Background(), name)
			id := s.Start(t, ctx, s.Define(t, "ok", step("a", nil, "ok")), "")
			for j := range signals {
				if got := len(signals[j]); got != map[bool]int{true: 1, false: 0}[i == j] {
					t.Errorf("a commit in %s: %d signals for %s", name, got, names[j])
				}
			}
			<-signals[i]
			must(t, s.Engine.Cancel(ctx, engine.ControlRequest{ID: id, Actor: "test"}))
			for range len(signals[i]) {
				<-signals[i]
			}
		}
	})
}

// TestFleetOfMany: fifty tenants with the same names and the same work at once, by two processes; each has all of its
// own and nothing else.
func TestFleetOfMany(t *testing.T) {
	const n = 30
	onSeveral(t, func(t *testing.T, open func(...tasks.Handler) *enginetest.Stack) {
		ctx := context.Background()
		first, second := open(&enginetest.Scripted{}), open(&enginetest.Scripted{})
		ids := map[string]dbtype.ID{}
		def := first.Define(t, "same", step("a", nil, "ok"), attempts(5).to(step("b", []string{"a"}, "error", "ok")),
			step("c", []string{"b"}, "defer", "ok"))
		for i := range n {
			inTenant(t, first.DB, fmt.Sprintf("t%d", i))
		}
		for _, s := range []*enginetest.Stack{first, second} {
			fleetOf(t, s, workers.TenantPoolsConfig{Config: workers.Config{Slots: 16}})
		}
		for i := range n {
			name := fmt.Sprintf("t%d", i)
			ids[name] = first.Start(t, db.WithTenant(ctx, name), def, fmt.Sprintf(`{"n": %d}`, i))
		}
		for name, id := range ids {
			first.Wait(t, db.WithTenant(ctx, name), id)
		}
		for name, id := range ids {
			alone(t, db.WithTenant(ctx, name), first, id)
		}
	})
}

// alone: the tenant holds one execution and what belongs to it.
func alone(t *testing.T, ctx context.Context, s *enginetest.Stack, id dbtype.ID) {
	t.Helper()
	list, err := s.Pipelines.List(ctx, engine.Filter{})
	must(t, err)
	if len(list) != 1 || list[0].ID != id {
		t.Errorf("%s lists %v, want %s alone", db.TenantOf(ctx), list, id)
	}
	history, err := s.Events.List(ctx, eventstore.Filter{})
	must(t, err)
	if slices.ContainsFunc(history, func(e events.Event) bool { return e.PipelineExecutionID != id }) {
		t.Errorf("%s has another's events", db.TenantOf(ctx))
	}
	left, err := s.Outbox.CountPending(ctx)
	must(t, err)
	if left != 0 {
		t.Errorf("%s has %d outbox rows", db.TenantOf(ctx), left)
	}
	fleet, err := s.Leases.List(ctx)
	must(t, err)
	if len(fleet) != 2 {
		t.Errorf("%s has %d workers, want 2", db.TenantOf(ctx), len(fleet))
	}
	audittest.CheckTenant(ctx, t, s.DB)
}
