// Package enginetest assembles the real modules over a test database, for tests. It replaces nothing and fakes nothing.
package enginetest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/sluiceworks/sluice/modules/audit/audittest"
	"github.com/sluiceworks/sluice/modules/chores"
	"github.com/sluiceworks/sluice/modules/events/eventstore"
	"github.com/sluiceworks/sluice/modules/leases"
	"github.com/sluiceworks/sluice/modules/outbox"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/modules/retention"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/modules/tasks/taskstore"
	"github.com/sluiceworks/sluice/modules/workers"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// Stack is the modules over one database.
type Stack struct {
	DB        *db.DB
	Events    *eventstore.Repository
	Outbox    *outbox.Repository
	Tasks     *taskstore.Repository
	Pipelines *engine.Repository
	Leases    *leases.Repository
	Engine    *engine.Engine
	Handlers  *tasks.Registry
	Retention *retention.Cleaner
}

// Each runs a test on SQLite and on Postgres with a stack of its own; the checker closes both.
func Each(t *testing.T, handlers []tasks.Handler, run func(t *testing.T, s *Stack)) {
	t.Helper()
	audittest.Each(t, func(t *testing.T, d *db.DB) { run(t, New(t, d, handlers...)) })
}

// New assembles the modules over a database.
func New(t testing.TB, d *db.DB, handlers ...tasks.Handler) *Stack {
	t.Helper()
	registry, err := tasks.NewRegistry(handlers)
	if err != nil {
		t.Fatal(err)
	}
	s := &Stack{
		DB: d, Events: eventstore.NewRepository(d), Outbox: outbox.NewRepository(d),
		Leases: leases.NewRepository(d), Handlers: registry,
	}
	s.Tasks = taskstore.NewRepository(d, s.Events, s.Outbox)
	s.Pipelines = engine.NewRepository(d, s.Events)
	s.Engine = engine.NewEngine(d, s.Leases, s.Events, s.Outbox, s.Tasks, s.Pipelines)
	s.Retention = retention.New(d, chores.NewRepository(d), s.Engine, s.Pipelines)
	return s
}

// Pool makes a pool of workers.
func (s *Stack) Pool(c workers.Config) *workers.Pool {
	return workers.New(c, workers.Deps{
		DB: s.DB, Engine: s.Engine, Tasks: s.Tasks, Outbox: s.Outbox, Leases: s.Leases, Handlers: s.Handlers,
		Log: zap.NewNop(),
	})
}

// Work runs a pool until the returned function has been called, which waits for its end. The test's end calls it too.
func (s *Stack) Work(t testing.TB, ctx context.Context, c workers.Config) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	pool := s.Pool(c)
	go func() { done <- pool.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("pool ended with: %v", err)
			}
		})
	}
	t.Cleanup(stop)
	return stop
}

// Define checks a definition.
func (s *Stack) Define(t testing.TB, name string, list ...definition.Task) *definition.Definition {
	t.Helper()
	def := &definition.Definition{Name: name, Tasks: slices.Clone(list)} // Check completes the tasks in place
	if err := def.Check(s.Handlers); err != nil {
		t.Fatal(err)
	}
	return def
}

// Start starts one run.
func (s *Stack) Start(t testing.TB, ctx context.Context, def *definition.Definition, input string) dbtype.ID {
	t.Helper()
	r := engine.StartRequest{Definition: def, Actor: "test"}
	if input != "" {
		r.Input = []byte(input)
	}
	started, err := s.Engine.Start(ctx, []engine.StartRequest{r})
	if err != nil {
		t.Fatal(err)
	}
	return started[0].ID
}

// Wait waits until an execution has ended, by the commits of this process, and gives it as it is then.
func (s *Stack) Wait(t testing.TB, ctx context.Context, id dbtype.ID) pipelines.Execution {
	t.Helper()
	return s.Until(t, ctx, id, func(e pipelines.Execution) bool { return e.Status.Terminal() })
}

// Until waits until a condition holds for an execution.
func (s *Stack) Until(
	t testing.TB, ctx context.Context, id dbtype.ID, holds func(pipelines.Execution) bool,
) pipelines.Execution {
	t.Helper()
	changed, cancel := s.Engine.Notifier().SubscribeCommits(ctx)
	defer cancel()
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		e, err := s.Pipelines.Get(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		if holds(e) {
			return e
		}
		select {
		case <-changed:
		case <-tick.C:
		case <-deadline.C:
			list, err := s.Tasks.ListByPipeline(ctx, id)
			t.Fatalf("execution is still %s after a minute: %+v", e.Status, errors.Join(err, describe(list)))
		}
	}
}

func describe(list []tasks.Task) error {
	var errs []error
	for _, t := range list {
		if !t.Status.Terminal() {
			errs = append(errs, errors.New(t.TaskName+" is "+string(t.Status)))
		}
	}
	return errors.Join(errs...)
}
