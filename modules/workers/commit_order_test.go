package workers_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
	"gorm.io/gorm"

	"github.com/sluiceworks/sluice/modules/enginetest"
	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/outbox"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/modules/workers"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// watched makes a pool whose warnings arrive in a channel, and are kept.
func watched(s *enginetest.Stack, c workers.Config) (*workers.Pool, <-chan string, *observer.ObservedLogs) {
	said := make(chan string, 1000)
	core, logs := observer.New(zapcore.WarnLevel)
	log := zap.New(core, zap.Hooks(func(e zapcore.Entry) error {
		if e.Level >= zapcore.WarnLevel {
			said <- e.Message
		}
		return nil
	}))
	pool := workers.New(c, workers.Deps{
		DB: s.DB, Engine: s.Engine, Tasks: s.Tasks, Outbox: s.Outbox, Leases: s.Leases, Handlers: s.Handlers, Log: log,
	})
	return pool, said, logs
}

// TestNoHandlerRunsWithoutItsClaim: as long as the claim can't be written, whichever part of it, no handler starts;
// then each task runs once.
func TestNoHandlerRunsWithoutItsClaim(t *testing.T) {
	t.Parallel()
	faults := map[string]dbtest.Fault{
		"status":  {Table: "task_executions", On: "UPDATE", When: "NEW.status = 'Running'"},
		"claimed": {Table: "execution_events", On: "INSERT", When: "NEW.event_type = 'task_claimed'"},
		"started": {Table: "execution_events", On: "INSERT", When: "NEW.event_type = 'task_started'"},
		"outbox":  {Table: "task_outbox", On: "DELETE"},
		"commit":  {Table: "execution_events", On: "INSERT", When: "NEW.event_type = 'task_claimed'", AtCommit: true},
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			enginetest.Each(t, nil, func(t *testing.T, base *enginetest.Stack) {
				scripted := &enginetest.Scripted{Called: make(chan string, 10)}
				s := enginetest.New(t, base.DB, scripted)
				id := s.Start(t, t.Context(), s.Define(t, "guarded", step("a", nil), step("b", nil)), "")
				mend := dbtest.Inject(t, s.DB, fault)
				pool, said, _ := watched(s, workers.Config{Slots: 4, Poll: 5 * time.Millisecond})
				run(t, pool)
				for range 3 {
					if m := <-said; m != "failed to claim tasks, retrying" {
						t.Fatalf("the pool says %q", m)
					}
				}
				if n := len(scripted.Called); n > 0 {
					t.Fatalf("%d handlers ran without a claim", n)
				}
				mend()
				s.Wait(t, t.Context(), id)
				if n := len(scripted.Called); n != 2 {
					t.Errorf("%d handlers ran, expected each task's once", n)
				}
			})
		})
	}
}

// run runs a pool until the end of the test.
func run(t *testing.T, pool *workers.Pool) {
	t.Helper()
	ctx, stop := contextOf(t)
	done := make(chan error, 1)
	go func() { done <- pool.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("pool ended with: %v", err)
		}
	})
}

// moment is one snapshot of a run.
type moment struct {
	run    pipelines.Execution
	tasks  map[string]tasks.Task
	events map[dbtype.ID][]events.Event // by task; the zero id: the run's own
	queued map[dbtype.ID]bool
}

func snapshot(t *testing.T, d *db.DB, id dbtype.ID) moment {
	t.Helper()
	m := moment{tasks: map[string]tasks.Task{}, events: map[dbtype.ID][]events.Event{}, queued: map[dbtype.ID]bool{}}
	err := d.Snapshot(t.Context(), func(ctx context.Context) error {
		g, err := d.Handle(ctx)
		if err != nil {
			return err
		}
		var list []tasks.Task
		var history []events.Event
		var rows []outbox.Entry
		table := func(name string) *gorm.DB {
			return g.Session(&gorm.Session{NewDB: true}).Table(g.NamingStrategy.TableName(name))
		}
		err = errors.Join(table("pipeline_executions").Where("id = ?", id).Take(&m.run).Error,
			table("task_executions").Where("pipeline_execution_id = ?", id).Find(&list).Error,
			table("execution_events").Where("pipeline_execution_id = ?", id).Order("sequence_num").Find(&history).Error,
			table("task_outbox").Find(&rows).Error)
		for _, x := range list {
			m.tasks[x.TaskName] = x
		}
		for _, e := range history {
			m.events[e.TaskExecutionID] = append(m.events[e.TaskExecutionID], e)
		}
		for _, r := range rows {
			m.queued[r.TaskExecutionID] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// check: whatever has happened, all that follows from it is there too.
func (m moment) check(t *testing.T, def *definition.Definition) (completed int) {
	t.Helper()
	for name, x := range m.tasks {
		history := m.events[x.ID]
		if n := len(history); n == 0 || int64(n) != x.Version || *history[n-1].Version != x.Version {
			t.Errorf("task %s has version %d and %d events", name, x.Version, n)
		}
		if (x.Status == tasks.Ready) != m.queued[x.ID] {
			t.Errorf("task %s is %s, and has an outbox row: %t", name, x.Status, m.queued[x.ID])
		}
		if x.Status == tasks.Completed {
			completed++
			if len(x.Output) == 0 || history[len(history)-1].EventType != events.TaskCompleted ||
				x.CompletedAt.IsZero() {
				t.Errorf("task %s is Completed with the output %q and %d events", name, x.Output, len(history))
			}
		}
		node, _ := def.Task(name)
		open := slices.ContainsFunc(node.Needs,
			func(need string) bool { return m.tasks[need].Status != tasks.Completed })
		if open != (x.Status == tasks.NotStarted) {
			t.Errorf("task %s is %s, and a dependency is open: %t", name, x.Status, open)
		}
	}
	if done := completed == len(m.tasks); done != (m.run.Status == pipelines.Completed) ||
		len(m.events[dbtype.ID{}]) != int(m.run.Version) {
		t.Errorf("the run is %s in version %d with %d events, and %d of %d tasks are Completed",
			m.run.Status, m.run.Version, len(m.events[dbtype.ID{}]), completed, len(m.tasks))
	}
	return completed
}

// TestConsequencesCommitTogether: whoever looks while a run goes on sees each completion with its output, its event,
// its successors' readiness and their outbox rows, or sees none of them.
func TestConsequencesCommitTogether(t *testing.T) {
	t.Parallel()
	enginetest.Each(t, nil, func(t *testing.T, base *enginetest.Stack) {
		scripted := &enginetest.Scripted{Called: make(chan string)} // each handler waits here until the test has looked
		s := enginetest.New(t, base.DB, scripted)
		var list []definition.Task
		for i := range 15 { // three chains that meet twice
			needs := []string{}
			switch {
			case i >= 3 && i%6 == 0:
				needs = []string{list[i-1].ID, list[i-2].ID, list[i-3].ID}
			case i >= 3:
				needs = []string{list[i-3].ID}
			}
			list = append(list, step(fmt.Sprintf("t%02d", i), needs))
		}
		def := s.Define(t, "together", list...)
		pool, _, logs := watched(s, workers.Config{Slots: 4, Poll: 5 * time.Millisecond})
		run(t, pool)
		id := s.Start(t, t.Context(), def, "")
		under := 0
		for range list {
			<-scripted.Called
			for range 3 { // the others go on meanwhile
				if n := snapshot(t, s.DB, id).check(t, def); n > 0 && n < len(list) {
					under++
				}
			}
		}
		s.Wait(t, t.Context(), id)
		snapshot(t, s.DB, id).check(t, def)
		if under < len(list) {
			t.Errorf("only %d snapshots were taken while the run was under way", under)
		}
		for _, e := range logs.All() {
			t.Errorf("the pool says %s %v", e.Message, e.ContextMap())
		}
	})
}
