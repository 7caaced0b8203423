package workers_test

import (
	"context"
	"maps"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/sluiceworks/sluice/modules/enginetest"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/modules/workers"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// serving runs a pool that logs what comes out, as a server's does, for the time of the test.
func serving(t *testing.T, s *enginetest.Stack, log *zap.Logger) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	pool := workers.New(workers.Config{
		Slots: 4, Lease: 600 * time.Millisecond, Drain: time.Millisecond,
		LogOutcomes: true,
	}, workers.Deps{
		DB: s.DB, Engine: s.Engine, Tasks: s.Tasks, Outbox: s.Outbox, Leases: s.Leases, Handlers: s.Handlers, Log: log,
	})
	done := make(chan error, 1)
	go func() { done <- pool.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	dbtest.Eventually(t, "the server has registered", func() bool { return pool.State().Worker != "" })
}

// runAlone works a run off as `sluice run` does: reserved for a private pool, which observes nothing.
func runAlone(t *testing.T, s *enginetest.Stack, def *definition.Definition) dbtype.ID {
	t.Helper()
	ctx := context.Background()
	pool := s.Pool(workers.Config{Slots: 2, Private: true})
	worker, err := pool.Register(ctx)
	must(t, err)
	started, err := s.Engine.Start(ctx, []engine.StartRequest{{Definition: def, ReservedFor: worker}})
	must(t, err)
	pool.WorkOn(started[0].ID)
	working, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- pool.Run(working) }()
	s.Wait(t, ctx, started[0].ID)
	stop()
	must(t, <-done)
	return started[0].ID
}

// TestEachEndIsLoggedOnce: one of two servers logs each run that ends, whoever ends it and how, and each failed attempt
// has its line.
func TestEachEndIsLoggedOnce(t *testing.T) {
	onSeveral(t, func(t *testing.T, open func(...tasks.Handler) *enginetest.Stack) {
		ctx := context.Background()
		core, logs := observer.New(zapcore.InfoLevel)
		command := open(&enginetest.Scripted{})
		never := command.Start(t, ctx, command.Define(t, "nobody-serves", step("a", nil)), "")
		must(t, command.Engine.Cancel(ctx,
			engine.ControlRequest{ID: never, Actor: "test"})) // no server is there yet: the first one tells
		gone := command.Start(t, ctx, command.Define(t, "gone", step("a", nil)), "")
		forgetDefinition(t, command, "gone")
		first, second := open(&enginetest.Scripted{}), open(&enginetest.Scripted{})
		serving(t, first, zap.New(core))
		serving(t, second, zap.New(core))

		want := map[string]int{never.String() + " a run was cancelled": 1}
		ended := func(id dbtype.ID, message string) {
			command.Wait(t, ctx, id)
			want[id.String()+" "+message]++
		}
		ended(gone, "a run failed")
		good := command.Start(t, ctx, command.Define(t, "good", step("a", nil)), "")
		ended(good, "a run completed")
		must(t, command.Engine.Retry(ctx, engine.ControlRequest{ID: good, Actor: "test"}, "a"))
		ended(good, "a run completed")
		bad := command.Start(t, ctx, command.Define(t, "bad", attempts(2).to(step("a", nil, "error", "error"))), "")
		ended(bad, "a run failed")
		want[bad.String()+" a task's attempt failed, retried: true"]++
		want[bad.String()+" a task's attempt failed, retried: false"]++
		hang := command.Start(t, ctx, command.Define(t, "hang", step("a", nil, "hang")), "")
		must(t, command.Engine.Cancel(ctx, engine.ControlRequest{ID: hang, Actor: "test"}))
		ended(hang, "a run was cancelled")
		ended(command.Start(t, ctx, command.Define(t, "nothing-to-do", condition("false").to(step("a", nil))), ""),
			"a run completed")
		ended(runAlone(t, command, command.Define(t, "alone", step("a", nil, "error"))), "a run failed")

		poison := command.Start(t, ctx, command.Define(t, "poison", step("a", nil, "hang", "hang", "hang", "hang")), "")
		for range pipelines.MaxRecoveries + 1 {
			loseWorkerOf(t, command, poison)
		}
		ended(poison, "a run failed")

		t.Cleanup(func() {
			if diff := cmp.Diff(want, said(logs)); diff != "" {
				t.Error(diff)
			}
		})
		dbtest.Eventually(t, "every end is logged",
			func() bool { return logs.Len() > 0 && maps.Equal(said(logs), want) })
	})
}

// loseWorkerOf has a run's task taken from the worker that holds it, as if that had died. A worker that renews its
// lease meanwhile is given another chance to lose it.
func loseWorkerOf(t *testing.T, s *enginetest.Stack, id dbtype.ID) {
	t.Helper()
	ctx, before := context.Background(), -1
	dbtest.Eventually(t, "the task is taken from a worker that holds it", func() bool {
		list, err := s.Tasks.ListByPipeline(ctx, id)
		must(t, err)
		x := list[0]
		if before < 0 {
			before = x.Recoveries
		}
		if x.Status.Terminal() || x.Recoveries > before {
			return true
		}
		if x.Status == tasks.Running {
			must(t, s.DB.Transaction(ctx, func(tx db.Tx) error {
				_, err := tx.Exec(`UPDATE {workers} SET lease_expires_at = $now WHERE id = $worker`,
					db.Args{"now": dbtype.NewTime(tx.Now.Add(-time.Hour)), "worker": string(x.WorkerID)})
				return err
			}))
			_, err = s.Engine.RecoverLost(ctx, "", time.Second)
			must(t, err)
		}
		return false
	})
}

func forgetDefinition(t *testing.T, s *enginetest.Stack, name string) {
	t.Helper()
	must(t, s.DB.Transaction(context.Background(), func(tx db.Tx) error {
		_, err := tx.Exec(`DELETE FROM {pipeline_definitions} WHERE pipeline_name = $name`, db.Args{"name": name})
		return err
	}))
}

// said counts the lines about each run.
func said(logs *observer.ObservedLogs) map[string]int {
	out := map[string]int{}
	for _, line := range logs.All() {
		fields := line.ContextMap()
		id, ok := fields["pipeline_execution_id"].(string)
		if !ok {
			continue
		}
		message := line.Message
		if retried, ok := fields["retried"].(bool); ok {
			message += ", retried: " + map[bool]string{true: "true", false: "false"}[retried]
		}
		out[id+" "+message]++
	}
	return out
}
