package workers_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/sluiceworks/sluice/modules/audit/audittest"
	"github.com/sluiceworks/sluice/modules/enginetest"
	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/events/eventstore"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/modules/workers"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// poolHandler runs a function of the test.
type poolHandler struct {
	name string
	run  func(ctx context.Context, call *tasks.Attempt) (json.RawMessage, error)
}

func (h *poolHandler) Name() string               { return h.name }
func (h *poolHandler) Check(map[string]any) error { return nil }
func (h *poolHandler) Run(ctx context.Context, call *tasks.Attempt) (json.RawMessage, error) {
	return h.run(ctx, call)
}

// gate is a handler that says when it is entered, and stays until it is let out. It ignores its context.
type gate struct {
	entered chan string   // the name of a task whose handler has started
	out     chan struct{} // each receive lets one go; closed: all
}

func newGate() *gate { return &gate{make(chan string, 1000), make(chan struct{})} }

func (g *gate) handler(name string) tasks.Handler {
	return &poolHandler{name, func(_ context.Context, call *tasks.Attempt) (json.RawMessage, error) {
		g.entered <- call.TaskName
		<-g.out
		return json.RawMessage(fmt.Sprintf(`{"attempt": %d, "worker": %q}`, call.Number, call.Worker)), nil
	}}
}

// wideTasks is n tasks that need nothing.
func wideTasks(n int, uses string) []definition.Task {
	list := make([]definition.Task, n)
	for i := range list {
		list[i] = definition.Task{ID: fmt.Sprintf("t%04d", i), Uses: uses}
	}
	return list
}

// onSeveral runs a test with stacks that each have a handle of their own on one database, as programs of their own
// would.
func onSeveral(t *testing.T, run func(t *testing.T, open func(...tasks.Handler) *enginetest.Stack)) {
	t.Helper()
	for name, url := range map[string]func(testing.TB) string{
		"sqlite":   dbtest.SQLiteURL,
		"postgres": dbtest.PostgresURL,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := url(t)
			checker := dbtest.Open(t, u)
			t.Cleanup(func() { audittest.Check(t, checker) })
			run(t, func(handlers ...tasks.Handler) *enginetest.Stack {
				return enginetest.New(t, dbtest.Open(t, u), handlers...)
			})
		})
	}
}

// observed runs a pool as Work does, and keeps what it logs from Warn on.
func observed(t *testing.T, s *enginetest.Stack, c workers.Config) (stop func(), logs *observer.ObservedLogs) {
	t.Helper()
	core, logs := observer.New(zapcore.WarnLevel)
	pool := workers.New(c, workers.Deps{
		DB: s.DB, Engine: s.Engine, Tasks: s.Tasks, Outbox: s.Outbox, Leases: s.Leases, Handlers: s.Handlers,
		Log: zap.New(core),
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
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
	return stop, logs
}

// taskRow gives a task's row.
func taskRow(t *testing.T, s *enginetest.Stack, id dbtype.ID, name string) tasks.Task {
	t.Helper()
	list, err := s.Tasks.ListByPipeline(context.Background(), id)
	must(t, err)
	for _, x := range list {
		if x.TaskName == name {
			return x
		}
	}
	t.Fatalf("there is no task %s", name)
	return tasks.Task{}
}

// lastEvent gives a task's newest event, and its data.
func lastEvent(t *testing.T, s *enginetest.Stack, id dbtype.ID) (events.Event, map[string]any) {
	t.Helper()
	list, err := s.Events.ListByTask(context.Background(), id, eventstore.Page{})
	must(t, err)
	e := list[len(list)-1]
	var data map[string]any
	must(t, json.Unmarshal(e.EventData, &data))
	return e, data
}

// runningTasks counts the tasks that are Running, and those that are Completed, at one moment.
func runningTasks(t *testing.T, d *db.DB) (running, completed int64) {
	t.Helper()
	must(t, d.Query(context.Background(), `SELECT count(CASE status WHEN 'Running' THEN 1 END),
  count(CASE status WHEN 'Completed' THEN 1 END) FROM {task_executions}`, nil, func(scan db.Scan) error {
		return scan(&running, &completed)
	}))
	return running, completed
}

// TestPoolClaimsWhatItHasSlotsFor: with 4 slots and 64 tasks never more than 4 are Running, and never more than 4
// handlers run.
func TestPoolClaimsWhatItHasSlotsFor(t *testing.T) {
	const slots, n = 4, 64
	onSeveral(t, func(t *testing.T, open func(...tasks.Handler) *enginetest.Stack) {
		ctx, g := context.Background(), newGate()
		s := open(g.handler("gate"))
		id := s.Start(t, ctx, s.Define(t, "wide", wideTasks(n, "gate")...), "")
		s.Work(t, ctx, workers.Config{Slots: slots})
		for range slots {
			<-g.entered
		}
		for done := range int64(n - slots) {
			if now, completed := runningTasks(t, s.DB); now > slots || completed > done {
				t.Errorf("%d tasks are Running and %d Completed although only %d were let out", now, completed, done)
			}
			if len(g.entered) > 0 {
				t.Errorf("a handler has started although all slots are taken")
			}
			g.out <- struct{}{}
			<-g.entered // the next one starts in its slot, and nothing else does
		}
		close(g.out)
		if e := s.Wait(t, ctx, id); e.Status != pipelines.Completed {
			t.Errorf("status %s", e.Status)
		}
	})
}

// TestPoolLeavesWhatItCannotRun: a program without a handler does not touch its tasks, and another runs them.
func TestPoolLeavesWhatItCannotRun(t *testing.T) {
	onSeveral(t, func(t *testing.T, open func(...tasks.Handler) *enginetest.Stack) {
		ctx, g := context.Background(), newGate()
		close(g.out)
		old, young := open(&enginetest.Scripted{}), open(&enginetest.Scripted{}, g.handler("gate"))
		id := young.Start(t, ctx, young.Define(t, "rolling", step("a", nil), definition.Task{ID: "new", Uses: "gate"},
			step("b", []string{"a"})), "")
		old.Work(t, ctx, workers.Config{Slots: 4, Poll: 5 * time.Millisecond})
		old.Until(t, ctx, id, func(e pipelines.Execution) bool { return e.OpenTasks == 1 })
		if x := taskRow(t, old, id, "new"); x.Status != tasks.Ready || x.Version != 2 {
			t.Errorf("the task of a handler that nobody has is %s in version %d, want Ready in 2", x.Status, x.Version)
		}
		if n, err := old.Outbox.CountPending(ctx); n != 1 || err != nil {
			t.Errorf("%d outbox rows (%v), want that of the task", n, err)
		}
		young.Work(t, ctx, workers.Config{Slots: 4})
		if e := young.Wait(t, ctx, id); e.Status != pipelines.Completed {
			t.Errorf("status %s", e.Status)
		}
	})
}

// TestPoolNeedsNoPoll: what a commit of this process makes ready, now or later, is claimed without waiting for the
// poll.
func TestPoolNeedsNoPoll(t *testing.T) {
	chain := []definition.Task{step("t0", nil)}
	for i := 1; i < 50; i++ {
		chain = append(chain, step(fmt.Sprintf("t%d", i), []string{fmt.Sprintf("t%d", i-1)}))
	}
	later := attempts(4).to(step("late", []string{"t49"}, "error", "error", "defer", "error", "ok"))
	later.Retry.Delay = 30 * time.Millisecond
	enginetest.Each(t, []tasks.Handler{&enginetest.Scripted{}}, func(t *testing.T, s *enginetest.Stack) {
		ctx := context.Background()
		s.Work(t, ctx, workers.Config{Slots: 4, Poll: time.Hour})
		for range 2 { // the second finds the pool asleep
			id := s.Start(t, ctx, s.Define(t, "chain", append(slices.Clone(chain), later)...), "")
			if e := s.Wait(t, ctx, id); e.Status != pipelines.Completed {
				t.Errorf("status %s: %s", e.Status, e.Error)
			}
		}
	})
}
