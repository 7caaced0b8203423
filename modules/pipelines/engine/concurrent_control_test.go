package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/sluiceworks/sluice/modules/audit"
	"github.com/sluiceworks/sluice/modules/audit/audittest"
	"github.com/sluiceworks/sluice/modules/enginetest"
	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/events/eventstore"
	"github.com/sluiceworks/sluice/modules/leases"
	"github.com/sluiceworks/sluice/modules/outbox"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/modules/workers"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

const (
	stormStacks = 4  // programs on one database, each with its own handle
	stormRuns   = 3  // of each controller; nobody else gives orders about them
	stormOrders = 25 // of each controller
	stormGhosts = 15 // workers that die with what they hold
)

// TestConcurrentControl: orders, completions, retries, deferrals and recoveries race from four programs on one
// database. The checker finds no breach at any moment, nothing starts between the return of Pause or Cancel and the
// next order, nobody sees a deadlock, and everything ends.
func TestConcurrentControl(t *testing.T) {
	for name, url := range map[string]func(testing.TB) string{
		"sqlite":   dbtest.SQLiteURL,
		"postgres": dbtest.PostgresURL,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			newStorm(t, url(t)).run(t)
		})
	}
}

type storm struct {
	stacks []*enginetest.Stack
	def    *definition.Definition
	logs   *observer.ObservedLogs
	runs   [stormStacks][]dbtype.ID // each changed by its controller alone
}

func newStorm(t *testing.T, url string) *storm {
	s := &storm{}
	watcher := dbtest.Open(t, url)
	t.Cleanup(func() { audittest.Check(t, watcher) })
	core, logs := observer.New(zapcore.WarnLevel)
	s.logs = logs
	handler := &enginetest.Scripted{} // one, so that a task's second call on another stack is its second
	for range stormStacks {
		stack := enginetest.New(t, dbtest.Open(t, url), handler)
		s.stacks = append(s.stacks, stack)
		pool := workers.New(workers.Config{Slots: 6, Poll: 20 * time.Millisecond, Drain: 20 * time.Second},
			workers.Deps{
				DB: stack.DB, Engine: stack.Engine, Tasks: stack.Tasks, Outbox: stack.Outbox, Leases: stack.Leases,
				Handlers: stack.Handlers, Log: zap.New(core),
			})
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- pool.Run(ctx) }()
		t.Cleanup(func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
	s.def = s.stacks[0].Define(t, "storm",
		stormTask("a", 1, "", nil, "ok"), stormTask("b", 3, "", []string{"a"}, "error", "ok"),
		stormTask("c", 1, "", []string{"a"}, "defer", "defer", "ok"),
		stormTask("d", 3, "", []string{"a"}, "panic", "error", "ok"),
		stormTask("slow", 2, "", []string{"a"}, "hang", "ok"),
		stormTask("fails", 1, "", []string{"a"}, "error", "error", "ok"),
		stormTask("clean", 1, definition.AllDone, []string{"fails", "b"}, "ok"),
		stormTask("join", 1, "", []string{"b", "c", "d", "slow", "fails", "clean"}, "ok"))
	return s
}

func stormTask(id string, attempts int, rule definition.TriggerRule, needs []string, do ...string) definition.Task {
	with, err := json.Marshal(map[string]any{"do": do})
	if err != nil {
		panic(err)
	}
	return definition.Task{
		ID: id, Needs: needs, Uses: "scripted", With: with, TriggerRule: rule, Timeout: 20 * time.Millisecond,
		Retry: tasks.RetryPolicy{MaxAttempts: attempts, Backoff: tasks.Fixed, Delay: time.Millisecond},
	}
}

func (s *storm) run(t *testing.T) {
	for i := range s.runs {
		for range stormRuns {
			s.runs[i] = append(s.runs[i], s.stacks[i].Start(t, bg, s.def, ""))
		}
	}
	over := make(chan struct{})
	var watch, storm sync.WaitGroup
	watch.Go(func() { s.watch(t, over) })
	for i := range stormStacks {
		storm.Go(func() { s.control(t, i) })
	}
	storm.Go(func() { s.ghosts(t) })
	storm.Wait()
	s.settle(t)
	close(over)
	watch.Wait()
	// On a busy machine a heartbeat may come later than the lease allows.
	expected := []string{
		"result refused: claim lost", "lease renewed late: running tasks that were not recovered continue",
		"lease expired, and other workers may have recovered its tasks: running tasks are cancelled",
	}
	for _, e := range s.logs.All() {
		late := e.ContextMap()["error"] == leases.ErrExpired.Error()
		if !slices.Contains(expected, e.Message) && !late {
			t.Errorf("a pool says: %s %v", e.Message, e.ContextMap())
		}
	}
}

// watch verifies the whole database in snapshots until the storm is over.
func (s *storm) watch(t *testing.T, over <-chan struct{}) {
	times, auditor := 0, audit.New(s.stacks[0].DB)
	tick := time.NewTicker(20 * time.Millisecond) // or it takes the processor from the storm
	defer tick.Stop()
	for ; ; times++ {
		report, err := auditor.Verify(bg, audit.Options{})
		if err != nil || !report.OK() {
			t.Errorf("verify during the storm (%v):\n%s", err, report)
			return
		}
		select {
		case <-over:
			t.Logf("verified %d times: %s", times+1, report.Summary())
			return
		case <-tick.C:
		}
	}
}

// control gives random orders about runs of its own, through one stack. One that has completed makes room for a new
// one.
func (s *storm) control(t *testing.T, i int) {
	rng, e := rand.New(rand.NewPCG(uint64(i), 1)), s.stacks[i].Engine
	still := map[dbtype.ID]int{} // runs that must not start anything, and their number of claims when they were stopped
	for range stormOrders {
		at := len(s.runs[i]) - 1 - rng.IntN(stormRuns)
		o := engine.ControlRequest{ID: s.runs[i][at], Reason: "storm", Actor: "controller"}
		if n, stopped := still[o.ID]; stopped {
			if got := s.claims(t, o.ID); got != n {
				t.Errorf("%d tasks were claimed after Pause or Cancel had returned", got-n)
			}
			delete(still, o.ID)
			s.expect(t, e.Resume(bg, o), e.Retry(bg, o, ""))
			s.verify(t, o.ID)
			continue
		}
		give := e.Pause
		if rng.IntN(4) == 0 {
			give = e.Cancel
		}
		switch {
		case s.expect(t, give(bg, o)):
			still[o.ID] = s.claims(t, o.ID)
			s.verify(t, o.ID)
		case !s.expect(t, e.Retry(bg, o, "")): // it has completed
			s.runs[i] = append(s.runs[i], s.stacks[i].Start(t, bg, s.def, ""))
		}
	}
}

// expect takes success, and the refusal of an order that does not fit the run's state; done: all succeeded.
func (s *storm) expect(t *testing.T, errs ...error) (done bool) {
	for _, err := range errs {
		if err != nil && !errors.Is(err, pipelines.ErrInvalidState) {
			t.Errorf("order: %v", err)
		}
	}
	return errors.Join(errs...) == nil
}

func (s *storm) claims(t *testing.T, id dbtype.ID) int {
	list, err := s.stacks[0].Events.List(bg, eventstore.Filter{PipelineExecutionID: id, EventType: events.TaskClaimed})
	if err != nil {
		t.Error(err)
	}
	return len(list)
}

func (s *storm) verify(t *testing.T, id dbtype.ID) {
	if report, err := audit.New(s.stacks[0].DB).Verify(bg, audit.Options{IDs: []dbtype.ID{id}}); err != nil ||
		!report.OK() {
		t.Errorf("verify after an order (%v):\n%s", err, report)
	}
}

// ghosts are workers that claim and die; two others find out at once, and the dead report after all.
func (s *storm) ghosts(t *testing.T) {
	for i := range stormGhosts {
		claims := s.haunt(t, s.stacks[i%stormStacks])
		var late sync.WaitGroup
		for _, stack := range s.stacks[:2] {
			late.Go(func() {
				if _, err := stack.Engine.Recover(bg); err != nil {
					t.Errorf("recover: %v", err)
				}
			})
		}
		late.Go(func() { s.report(t, s.stacks[2], claims) })
		late.Wait()
		s.report(t, s.stacks[3], claims)
	}
}

// haunt makes a worker that claims, and lets its lease expire.
func (s *storm) haunt(t *testing.T, stack *enginetest.Stack) []pipelines.Claim {
	w := leases.Worker{ID: "ghost-" + dbtype.NewID().String(), Slots: 2}
	expires, err := stack.Leases.Register(bg, w, time.Hour)
	if err != nil {
		t.Error(err)
	}
	claims, err := stack.Engine.Claim(bg, engine.ClaimRequest{
		Worker: w.ID, LeaseExpiresAt: expires,
		Want: outbox.ClaimFilter{Handlers: []string{"scripted"}, Limit: 2},
	})
	if err != nil {
		t.Errorf("claim: %v", err)
	}
	err = stack.DB.Transaction(bg, func(tx db.Tx) error {
		_, err := tx.Exec(`UPDATE {workers} SET lease_expires_at = $now WHERE id = $id`,
			db.Args{"id": w.ID, "now": dbtype.NewTime(tx.Now.Add(-time.Second))})
		return err
	})
	if err != nil {
		t.Error(err)
	}
	return claims
}

func (s *storm) report(t *testing.T, stack *enginetest.Stack, claims []pipelines.Claim) {
	var group []*pipelines.Outcome
	for i := range claims {
		group = append(group, &pipelines.Outcome{
			Claim: &claims[i], Kind: pipelines.OutcomeFailed,
			ErrorKind: tasks.KindError, Error: "said by a ghost",
		})
	}
	if len(group) == 0 {
		return
	}
	answers, err := stack.Engine.RecordOutcomes(bg, "a ghost", group)
	for _, answer := range answers {
		if answer != nil && !errors.Is(answer, tasks.ErrClaimLost) {
			err = errors.Join(err, answer)
		}
	}
	if err != nil {
		t.Errorf("finish: %v", err)
	}
}

// settle lets every run go on until it has completed, running again what failed.
func (s *storm) settle(t *testing.T) {
	for i, stack := range s.stacks {
		for _, id := range s.runs[i] {
			s.complete(t, stack, engine.ControlRequest{ID: id})
		}
		t.Logf("controller %d had %d runs", i, len(s.runs[i]))
	}
	if n, err := s.stacks[0].Outbox.CountPending(bg); n != 0 || err != nil {
		t.Errorf("%d outbox rows at the end (%v)", n, err)
	}
}

func (s *storm) complete(t *testing.T, stack *enginetest.Stack, o engine.ControlRequest) {
	var e pipelines.Execution
	for range 20 { // each run of the graph fails at most as often as its tasks' scripts say, or a ghost did
		s.expect(t, stack.Engine.Resume(bg, o))
		if _, err := stack.Engine.Recover(bg); err != nil {
			t.Fatal(err)
		}
		if e = stack.Wait(t, bg, o.ID); e.Status == pipelines.Completed {
			return
		}
		s.expect(t, stack.Engine.Retry(bg, o, ""))
	}
	t.Errorf("the run is still %s (%s) after 20 retries", e.Status, e.Error)
}
