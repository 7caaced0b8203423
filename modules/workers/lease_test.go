package workers_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluiceworks/sluice/modules/enginetest"
	"github.com/sluiceworks/sluice/modules/events"
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

// expire ends the leases of all workers there are, by the database's clock.
func expire(t *testing.T, s *enginetest.Stack) {
	t.Helper()
	must(t, s.DB.Transaction(context.Background(), func(tx db.Tx) error {
		n, err := tx.Exec(`UPDATE {workers} SET lease_expires_at = $now`,
			db.Args{"now": dbtype.NewTime(tx.Now.Add(-time.Second))})
		if err == nil && n == 0 {
			t.Error("there is no worker whose lease could expire")
		}
		return err
	}))
}

// claimAs claims as a worker of its own that nobody runs.
func claimAs(t *testing.T, s *enginetest.Stack, limit int) (worker string, claims []pipelines.Claim) {
	t.Helper()
	ctx, worker := context.Background(), "by-hand-"+dbtype.NewID().String()
	expires, err := s.Leases.Register(ctx, leases.Worker{ID: worker, Slots: limit}, time.Hour)
	must(t, err)
	claims, err = s.Engine.Claim(ctx, engine.ClaimRequest{
		Worker: worker, LeaseExpiresAt: expires,
		Want: outbox.ClaimFilter{Handlers: s.Handlers.Names(), Limit: limit},
	})
	must(t, err)
	return worker, claims
}

// TestLeaseLost: the tasks of a worker that was silent for too long are run by another, and what it says after all is
// refused.
func TestLeaseLost(t *testing.T) {
	onSeveral(t, func(t *testing.T, open func(...tasks.Handler) *enginetest.Stack) {
		ctx, g, quick := context.Background(), newGate(), newGate()
		silent, other := open(g.handler("gate")), open(quick.handler("gate"))
		close(quick.out)
		id := silent.Start(t, ctx, silent.Define(t, "lease", definition.Task{ID: "a", Uses: "gate"},
			definition.Task{ID: "b", Needs: []string{"a"}, Uses: "gate"}), "")
		// it does not look for 20 minutes
		stop, logs := observed(t, silent, workers.Config{Slots: 1, Lease: time.Hour, Drain: time.Minute})
		<-g.entered
		expire(t, silent)
		stopOther, _ := observed(t, other, workers.Config{Slots: 2, Lease: 150 * time.Millisecond, Drain: time.Minute})
		if e := other.Wait(t, ctx, id); e.Status != pipelines.Completed {
			t.Errorf("status %s", e.Status)
		}
		stopOther()
		before := taskRow(t, other, id, "a")
		close(g.out)
		stop()
		if after := taskRow(t, other, id, "a"); cmp.Diff(before, after) != "" ||
			!strings.Contains(string(after.Output), `"attempt": 2`) {
			t.Errorf("the late outcome of attempt 1 changed the task: %+v", after)
		}
		if n := logs.FilterMessage("result refused: claim lost").Len(); n != 1 {
			t.Errorf("the pool speaks %d times of a late outcome: %v", n, logs.All())
		}
		if diff := cmp.Diff(map[string]string{
			"pipeline": "started completed",
			"a":        "created marked_ready claimed started reset claimed started completed", "b": ran,
		}, sequences(t, other, id)); diff != "" {
			t.Errorf("history (-want +got):\n%s", diff)
		}
		nobody(t, other)
	})
}

// takeOver ends the lease of a worker and has its tasks recovered, before it renews.
func takeOver(t *testing.T, s *enginetest.Stack, worker string) {
	t.Helper()
	dbtest.Eventually(t, "the worker is removed", func() bool {
		list, err := s.Leases.List(context.Background())
		must(t, err)
		if !slices.ContainsFunc(list, func(w leases.Worker) bool { return w.ID == worker }) {
			return true
		}
		expire(t, s)
		_, err = s.Engine.Recover(context.Background())
		must(t, err)
		return false
	})
}

// TestLeaseRevived: a worker that was suspended beyond its lease goes on with what nobody has taken.
func TestLeaseRevived(t *testing.T) {
	onSeveral(t, func(t *testing.T, open func(...tasks.Handler) *enginetest.Stack) {
		ctx, g := context.Background(), newGate()
		s := open(g.handler("gate"))
		id := s.Start(t, ctx, s.Define(t, "lease", definition.Task{ID: "a", Uses: "gate"}), "")
		stop, logs := observed(t, s, workers.Config{Slots: 1, Lease: 900 * time.Millisecond, Drain: time.Minute})
		<-g.entered
		was, err := s.Leases.List(ctx)
		must(t, err)
		expire(t, s)
		dbtest.Eventually(t, "renewed",
			func() bool { return logs.FilterMessageSnippet("lease renewed late").Len() > 0 })
		is, err := s.Leases.List(ctx)
		must(t, err)
		if len(is) != 1 || len(was) != 1 || is[0].ID != was[0].ID {
			t.Errorf("registered before: %+v, after: %+v; want the same name", was, is)
		}
		close(g.out)
		if e := s.Wait(t, ctx, id); e.Status != pipelines.Completed {
			t.Errorf("status %s: %s", e.Status, e.Error)
		}
		stop()
		if diff := cmp.Diff(map[string]string{"pipeline": "started completed", "a": ran},
			sequences(t, s, id)); diff != "" {
			t.Errorf("history (-want +got):\n%s", diff)
		}
		nobody(t, s)
	})
}

// TestLeaseLostIsNoFailure: a worker gives up what was taken from it, which costs the tasks no attempt of theirs, and
// goes on.
func TestLeaseLostIsNoFailure(t *testing.T) {
	onSeveral(t, func(t *testing.T, open func(...tasks.Handler) *enginetest.Stack) {
		ctx, called := context.Background(), make(chan string, 100)
		s := open(&enginetest.Scripted{Called: called})
		id := s.Start(t, ctx, s.Define(t, "lease", step("a", nil, "hang", "ok"), step("b", nil, "hang", "ok"),
			step("c", []string{"a", "b"})), "")
		stop, logs := observed(t, s,
			workers.Config{Slots: 2, Lease: 300 * time.Millisecond, Poll: 20 * time.Millisecond})
		<-called
		<-called
		was, err := s.Leases.List(ctx)
		must(t, err)
		takeOver(t, open(), was[0].ID)
		if e := s.Wait(t, ctx, id); e.Status != pipelines.Completed {
			t.Errorf("status %s: %s", e.Status, e.Error)
		}
		is, err := s.Leases.List(ctx)
		must(t, err)
		if len(is) != 1 || is[0].ID == was[0].ID {
			t.Errorf("registered before: %+v, after: %+v; want another name", was, is)
		}
		if logs.FilterMessageSnippet("lease ").Len() == 0 {
			t.Errorf("the pool does not speak of its lease: %v", logs.All())
		}
		stop()
		nobody(t, s)
	})
}

// TestLeaseSweepersCountOnce: however many look for lost workers at once, each task is taken back once; the work of a
// worker that lives is left alone, also when another program starts.
func TestLeaseSweepersCountOnce(t *testing.T) {
	onSeveral(t, func(t *testing.T, open func(...tasks.Handler) *enginetest.Stack) {
		const n = 20
		ctx := context.Background()
		stacks := []*enginetest.Stack{
			open(&enginetest.Scripted{}), open(&enginetest.Scripted{}),
			open(&enginetest.Scripted{}), open(&enginetest.Scripted{}),
		}
		s := stacks[0]
		id := s.Start(t, ctx, s.Define(t, "lease", wideTasks(n+1, "scripted")...), "")
		_, lost := claimAs(t, s, n)
		expire(t, s)
		worker, kept := claimAs(t, s, n)
		total, mu, sweepers := 0, sync.Mutex{}, sync.WaitGroup{}
		for _, stack := range stacks {
			sweepers.Go(func() {
				got, err := stack.Engine.Recover(ctx)
				mu.Lock()
				defer mu.Unlock()
				if total += got; err != nil {
					t.Error(err)
				}
			})
		}
		sweepers.Wait()
		if total != n || len(lost) != n || len(kept) != 1 {
			t.Errorf("%d tasks were taken back of %d lost ones", total, len(lost))
		}
		for _, c := range lost {
			if x := taskRow(t, s, id, c.Task.TaskName); x.Recoveries != 1 || x.Status != tasks.Ready ||
				x.Version != c.Task.Version+1 {
				t.Errorf("task %s is %s in version %d, lost %d times", x.TaskName, x.Status, x.Version, x.Recoveries)
			}
		}
		// it starts, and looks for the lost, while the other works
		stacks[1].Work(t, ctx, workers.Config{Slots: 4, Lease: 50 * time.Millisecond})
		s.Until(t, ctx, id, func(e pipelines.Execution) bool { return e.OpenTasks == 1 })
		if x := taskRow(t, s, id, kept[0].Task.TaskName); x.Version != kept[0].Task.Version ||
			string(x.WorkerID) != worker {
			t.Errorf("the task of a worker that lives is %s of %q in version %d", x.Status, x.WorkerID, x.Version)
		}
		lost2, err := s.Engine.RecordOutcomes(ctx, worker, []*pipelines.Outcome{{Claim: &kept[0]}})
		must(t, err)
		must(t, lost2[0])
		if e := s.Wait(t, ctx, id); e.Status != pipelines.Completed {
			t.Errorf("status %s", e.Status)
		}
	})
}

// TestLeaseRenewedInTime: a heartbeat that comes before anybody looks wins, also after the lease's end; one that comes
// later is refused.
func TestLeaseRenewedInTime(t *testing.T) {
	onSeveral(t, func(t *testing.T, open func(...tasks.Handler) *enginetest.Stack) {
		ctx, s := context.Background(), open(&enginetest.Scripted{})
		s.Start(t, ctx, s.Define(t, "lease", step("a", nil)), "")
		worker, _ := claimAs(t, s, 1)
		_, err := s.Leases.Renew(ctx, worker, time.Hour)
		must(t, err)
		if n, err := s.Engine.Recover(ctx); n != 0 || err != nil {
			t.Errorf("%d tasks taken from a worker that renews (%v)", n, err)
		}
		expire(t, s)
		if n, err := s.Leases.Renew(ctx, worker, time.Hour); err != nil || !n.Late {
			t.Errorf("a renewal before anybody looked: %+v, %v", n, err)
		}
		if n, err := s.Engine.Recover(ctx); n != 0 || err != nil {
			t.Errorf("%d tasks taken from a worker that has renewed late (%v)", n, err)
		}
		expire(t, s)
		if n, err := s.Engine.Recover(ctx); n != 1 || err != nil {
			t.Errorf("%d tasks taken back (%v), want 1", n, err)
		}
		if _, err := s.Leases.Renew(ctx, worker, time.Hour); !errors.Is(err, leases.ErrExpired) {
			t.Errorf("a renewal that came too late: %v", err)
		}
	})
}

// TestLeaseCap: a task that kills every worker is given up, and its pipeline with it.
func TestLeaseCap(t *testing.T) {
	onSeveral(t, func(t *testing.T, open func(...tasks.Handler) *enginetest.Stack) {
		ctx, s := context.Background(), open(&enginetest.Scripted{})
		id := s.Start(t, ctx, s.Define(t, "lease", step("poison", nil), step("b", []string{"poison"})), "")
		for range pipelines.MaxRecoveries + 1 {
			if _, claims := claimAs(t, s, 1); len(claims) != 1 {
				t.Fatalf("%d claims", len(claims))
			}
			expire(t, s)
			if n, err := s.Engine.Recover(ctx); n != 1 || err != nil {
				t.Fatalf("%d tasks taken back (%v)", n, err)
			}
		}
		e, x := s.Wait(t, ctx, id), taskRow(t, s, id, "poison")
		last, data := lastEvent(t, s, x.ID)
		if e.Status != pipelines.Failed || x.Status != tasks.Abandoned || last.EventType != events.TaskAbandoned ||
			data["reason"] != "lost with its worker 4 times" {
			t.Errorf("pipeline %s, task %s, last %s %v", e.Status, x.Status, last.EventType, data)
		}
	})
}

// TestLeaseClaimNeedsOne: a worker that has been given up gets nothing, for nobody would bring it back.
func TestLeaseClaimNeedsOne(t *testing.T) {
	onSeveral(t, func(t *testing.T, open func(...tasks.Handler) *enginetest.Stack) {
		ctx, s := context.Background(), open(&enginetest.Scripted{})
		id := s.Start(t, ctx, s.Define(t, "lease", step("a", nil)), "")
		expires, err := s.Leases.Register(ctx, leases.Worker{ID: "slow", Slots: 1}, time.Hour)
		must(t, err)
		request := engine.ClaimRequest{
			Worker: "slow", LeaseExpiresAt: expires,
			Want: outbox.ClaimFilter{Handlers: s.Handlers.Names(), Limit: 1},
		}
		expire(t, s)
		for _, what := range []string{"expired", "removed"} {
			if claims, err := s.Engine.Claim(ctx, request); len(claims) > 0 {
				t.Errorf("a worker whose lease has %s claimed %d tasks (%v)", what, len(claims), err)
			}
			if _, err := s.Engine.Recover(ctx); err != nil {
				t.Error(err)
			}
		}
		s.Work(t, ctx, workers.Config{Slots: 1, Lease: 100 * time.Millisecond})
		if e := s.Wait(t, ctx, id); e.Status != pipelines.Completed {
			t.Errorf("status %s", e.Status)
		}
	})
}

// TestLeaseDefinitionGone: a run whose definition can't be read is given up when its worker is lost, and keeps no
// other's tasks.
func TestLeaseDefinitionGone(t *testing.T) {
	onSeveral(t, func(t *testing.T, open func(...tasks.Handler) *enginetest.Stack) {
		ctx, s, sweeper := context.Background(), open(&enginetest.Scripted{}), open(&enginetest.Scripted{})
		gone := s.Start(t, ctx, s.Define(t, "gone", step("a", nil), step("b", []string{"a"})), "")
		kept := s.Start(t, ctx, s.Define(t, "kept", step("a", nil)), "")
		claimAs(t, s, 2)
		must(t, s.DB.Transaction(ctx, func(tx db.Tx) error {
			_, err := tx.Exec(`DELETE FROM {pipeline_definitions} WHERE pipeline_name = $name`, db.Args{"name": "gone"})
			return err
		}))
		expire(t, s)
		if n, err := sweeper.Engine.Recover(ctx); n == 0 || err != nil {
			t.Fatalf("%d tasks taken back (%v)", n, err)
		}
		sweeper.Work(t, ctx, workers.Config{Slots: 1})
		if e := sweeper.Wait(t, ctx, kept); e.Status != pipelines.Completed {
			t.Errorf("the other run is %s", e.Status)
		}
		if e := sweeper.Wait(t, ctx, gone); e.Status != pipelines.Failed ||
			!strings.Contains(string(e.Error), "definition gone") {
			t.Errorf("the run without a definition is %s (%s)", e.Status, e.Error)
		}
	})
}
