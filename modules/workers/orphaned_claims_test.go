package workers_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluiceworks/sluice/modules/audit"
	"github.com/sluiceworks/sluice/modules/enginetest"
	"github.com/sluiceworks/sluice/modules/outbox"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/modules/workers"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// forget undoes the claim of a task as a database that loses commits does: its row, its events and its outbox row are
// as before.
func forget(t *testing.T, s *enginetest.Stack, c *pipelines.Claim) {
	t.Helper()
	must(t, s.DB.Transaction(context.Background(), func(tx db.Tx) error {
		_, first := tx.Exec(`DELETE FROM {execution_events} WHERE task_execution_id = $id AND version > 2`,
			db.Args{"id": c.Task.ID})
		_, second := tx.Exec(
			`UPDATE {task_executions} SET status = 'Ready', sub_status = NULL, version = 2, attempt = 0,
  worker_id = NULL, started_at = NULL
WHERE id = $id`, db.Args{"id": c.Task.ID})
		_, third := tx.Exec(
			`INSERT INTO {task_outbox} (task_execution_id, handler, available_at, created_at)
  VALUES ($id, $handler, $now, $now)`,
			db.Args{"id": c.Task.ID, "handler": c.Task.Handler, "now": tx.Now})
		return errors.Join(first, second, third)
	}))
}

// refuseReset has the database refuse to make a running task Ready again, as it refuses data that it can't hold.
func refuseReset(t *testing.T, s *enginetest.Stack, task dbtype.ID) {
	t.Helper()
	statements := []string{`CREATE TRIGGER refuse BEFORE UPDATE ON {task_executions} WHEN hex(OLD.id) = '` +
		strings.ToUpper(strings.ReplaceAll(task.String(), "-", "")) +
		`' AND NEW.status = 'Ready' BEGIN SELECT RAISE(ABORT, 'refused'); END`}
	if s.DB.Backend() == "postgres" {
		statements = []string{
			`CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''refused'' ` +
				`USING ERRCODE = ''check_violation''; END'`,
			`CREATE TRIGGER refuse BEFORE UPDATE ON {task_executions} FOR EACH ROW WHEN (OLD.id = '` + task.String() +
				`' AND NEW.status = 'Ready') EXECUTE FUNCTION public.refuse()`,
		}
	}
	must(t, s.DB.Transaction(context.Background(), func(tx db.Tx) error {
		for _, statement := range statements {
			if _, err := tx.Exec(statement, nil); err != nil {
				return err
			}
		}
		return nil
	}))
}

// TestFenceAfterLostCommits: the outcome of a claim that the database has forgotten is refused although another claim
// has reached the same version, also when the same worker made that one, and when both are in one transaction.
func TestFenceAfterLostCommits(t *testing.T) {
	onSeveral(t, func(t *testing.T, open func(...tasks.Handler) *enginetest.Stack) {
		ctx, s := context.Background(), open(&enginetest.Scripted{})
		id := s.Start(t, ctx, s.Define(t, "fence", step("a", nil)), "")
		worker, first := claimAs(t, s, 1)
		forget(t, s, &first[0])
		want := outbox.ClaimFilter{Handlers: s.Handlers.Names(), Limit: 1}
		turned, err := s.Engine.CompleteAndClaim(ctx, engine.ExchangeRequest{
			Worker: worker, LeaseExpiresAt: dbtype.NewTime(s.DB.Now().Add(time.Hour)),
			Outcomes: []*pipelines.Outcome{{Claim: &first[0]}}, Filter: want, PollOutbox: true,
		})
		must(t, err)
		if len(turned.Polled) != 1 || !errors.Is(turned.Conflicts[0], tasks.ErrClaimLost) {
			t.Fatalf("a forgotten claim's outcome beside a new claim: %+v", turned)
		}
		second := turned.Polled[0]
		if lost, err := s.Engine.RecordOutcomes(ctx, worker, []*pipelines.Outcome{{Claim: &first[0]}}); err != nil ||
			!errors.Is(lost[0], tasks.ErrClaimLost) {
			t.Errorf("another claim of the same worker: %v, %v", lost, err)
		}
		forget(t, s, &second)
		other, third := claimAs(t, s, 1)
		if third[0].Task.Version != first[0].Task.Version {
			t.Fatalf("versions %d and %d: the fence is not put to the test", third[0].Task.Version,
				first[0].Task.Version)
		}
		if lost, err := s.Engine.RecordOutcomes(ctx, worker, []*pipelines.Outcome{{Claim: &second}}); err != nil ||
			!errors.Is(lost[0], tasks.ErrClaimLost) {
			t.Errorf("another worker's claim: %v, %v", lost, err)
		}
		lost, err := s.Engine.RecordOutcomes(ctx, other, []*pipelines.Outcome{{Claim: &third[0]}})
		must(t, errors.Join(err, lost[0]))
		if e := s.Wait(t, ctx, id); e.Status != pipelines.Completed {
			t.Errorf("status %s", e.Status)
		}
		if diff := cmp.Diff(map[string]string{"pipeline": "started completed", "a": ran},
			sequences(t, s, id)); diff != "" {
			t.Errorf("history (-want +got):\n%s", diff)
		}
	})
}

// TestStrayGivenBackAtTheEnd: a worker that stops leaves nothing Running in its name, although no claim of it ever
// failed.
func TestStrayGivenBackAtTheEnd(t *testing.T) {
	onSeveral(t, func(t *testing.T, open func(...tasks.Handler) *enginetest.Stack) {
		ctx, s := context.Background(), open(&enginetest.Scripted{})
		stop, logs := observed(t, s, workers.Config{Slots: 1, Lease: time.Hour})
		s.Wait(t, ctx, s.Start(t, ctx, s.Define(t, "first", step("a", nil)), ""))
		list, err := s.Leases.List(ctx)
		must(t, err)
		elsewhere := step("a", nil)
		elsewhere.Queue = "elsewhere"
		id := s.Start(t, ctx, s.Define(t, "stray", elsewhere), "")
		_, err = s.Engine.Claim(ctx, engine.ClaimRequest{
			Worker: list[0].ID, LeaseExpiresAt: list[0].LeaseExpiresAt,
			Want: outbox.ClaimFilter{Handlers: s.Handlers.Names(), Queues: []string{"elsewhere"}, Limit: 1},
		})
		must(t, err)
		if x := taskRow(t, s, id, "a"); x.Status != tasks.Running {
			t.Fatalf("the stray is %s", x.Status)
		}
		stop()
		if x := taskRow(t, s, id, "a"); x.Status != tasks.Ready || x.Recoveries != 0 ||
			logs.FilterMessageSnippet("released tasks that were Running").Len() != 1 {
			t.Errorf("after the worker has gone: %+v", x)
		}
		nobody(t, s)
	})
}

// TestStrayOfNobody: a task whose worker has no row is taken back when a worker starts.
func TestStrayOfNobody(t *testing.T) {
	onSeveral(t, func(t *testing.T, open func(...tasks.Handler) *enginetest.Stack) {
		ctx, s := context.Background(), open(&enginetest.Scripted{})
		id := s.Start(t, ctx, s.Define(t, "orphan", step("a", nil)), "")
		worker, _ := claimAs(t, s, 1)
		must(t, s.Engine.Deregister(ctx, worker))
		s.Work(t, ctx, workers.Config{Slots: 1})
		if e := s.Wait(t, ctx, id); e.Status != pipelines.Completed {
			t.Errorf("status %s", e.Status)
		}
		if x := taskRow(t, s, id, "a"); x.Recoveries != 1 {
			t.Errorf("%+v", x)
		}
	})
}

// TestRecoveryOfEachByItself: one execution whose recovery fails keeps no other waiting, is named, and is abandoned
// after some tries.
func TestRecoveryOfEachByItself(t *testing.T) {
	onSeveral(t, func(t *testing.T, open func(...tasks.Handler) *enginetest.Stack) {
		ctx, s := context.Background(), open(&enginetest.Scripted{})
		def := s.Define(t, "many", step("a", nil), step("b", []string{"a"}))
		var ids []dbtype.ID
		for range 5 {
			ids = append(ids, s.Start(t, ctx, def, ""))
		}
		_, claims := claimAs(t, s, 5)
		broken := claims[2].Task
		refuseReset(t, s, broken.ID)
		expire(t, s)
		for try := range engine.MaxRecoveryAttempts {
			n, err := s.Engine.RecoverLost(ctx, "", time.Microsecond)
			var failed engine.RecoveryErrors
			if want := 4 * max(0, 1-try); n != want || !errors.As(err, &failed) || len(failed) != 1 ||
				failed[0].PipelineExecutionID != broken.PipelineExecutionID || failed[0].Attempts != try+1 ||
				failed[0].Abandoned {
				t.Fatalf("try %d: %d tasks, %v", try, n, err)
			}
			nobody(t, s)
			list, err := s.Leases.Recoveries(ctx)
			if err != nil || len(list) != 1 || list[0].PipelineExecutionID != broken.PipelineExecutionID ||
				list[0].Attempts != try+1 || list[0].Error == "" {
				t.Fatalf("try %d: %+v, %v", try, list, err)
			}
		}
		_, err := s.Engine.Recover(ctx)
		var failed engine.RecoveryErrors
		if !errors.As(err, &failed) || len(failed) != 1 || !failed[0].Abandoned {
			t.Errorf("the last try: %v", err)
		}
		if n, err := s.Engine.Recover(ctx); n != 0 || err != nil {
			t.Errorf("and then: %d, %v", n, err)
		}
		s.Work(t, ctx, workers.Config{Slots: 5})
		for _, id := range ids {
			e, want := s.Wait(t, ctx, id), pipelines.Completed
			if id == broken.PipelineExecutionID {
				want = pipelines.Failed
			}
			if e.Status != want || want == pipelines.Failed &&
				!strings.Contains(string(e.Error), "its recovery failed 3 times") {
				t.Errorf("run %s is %s: %s", id, e.Status, e.Error)
			}
		}
	})
}

// TestRecoveryThatKills: a recovery whose process ended each time is not tried for ever, and those beside it are
// recovered first.
func TestRecoveryThatKills(t *testing.T) {
	onSeveral(t, func(t *testing.T, open func(...tasks.Handler) *enginetest.Stack) {
		ctx, s := context.Background(), open(&enginetest.Scripted{})
		id := s.Start(t, ctx, s.Define(t, "killer", step("a", nil)), "")
		claimAs(t, s, 1)
		expire(t, s)
		must(t, s.DB.Transaction(ctx, func(tx db.Tx) error {
			taken, err := s.Leases.Acquire(tx, []dbtype.ID{id}, time.Hour)
			if err == nil && len(taken) != 1 {
				t.Errorf("%+v", taken)
			}
			return err
		}))
		if n, err := s.Engine.RecoverLost(ctx, "", time.Hour); n != 0 || err != nil {
			t.Errorf("somebody else is at it: %d, %v", n, err)
		}
		for range engine.MaxRecoveryAttempts {
			must(t, s.Leases.Attempt(ctx, id, time.Microsecond))
		}
		var failed engine.RecoveryErrors
		if _, err := s.Engine.RecoverLost(ctx, "", time.Hour); !errors.As(err, &failed) || !failed[0].Abandoned {
			t.Errorf("after as many deaths: %v", err)
		}
		if e := s.Wait(t, ctx, id); e.Status != pipelines.Failed ||
			!strings.Contains(string(e.Error), "the recovering process ended") {
			t.Errorf("status %s: %s", e.Status, e.Error)
		}
	})
}

// TestRecoveryIsSaid: a pool says by its observer and its log which execution it can't recover.
func TestRecoveryIsSaid(t *testing.T) {
	onSeveral(t, func(t *testing.T, open func(...tasks.Handler) *enginetest.Stack) {
		ctx, s := context.Background(), open(&enginetest.Scripted{})
		id := s.Start(t, ctx, s.Define(t, "broken", step("a", nil)), "")
		_, claims := claimAs(t, s, 1)
		refuseReset(t, s, claims[0].Task.ID)
		expire(t, s)
		stop, logs := observed(t, s, workers.Config{Slots: 1, Lease: 200 * time.Millisecond})
		dbtest.Eventually(t, "said",
			func() bool { return logs.FilterMessageSnippet("failed to recover a run").Len() > 0 })
		if got := logs.FilterMessageSnippet("failed to recover a run").
			All()[0].ContextMap()["pipeline_execution_id"]; got != id.String() {
			t.Errorf("said of %v", got)
		}
		if e := s.Wait(t, ctx, id); e.Status != pipelines.Failed {
			t.Errorf("status %s", e.Status)
		}
		stop()
		list, err := s.Leases.List(ctx)
		if err != nil || len(list) > 0 {
			t.Errorf("workers that are left: %+v, %v", list, err)
		}
	})
}

// TestUnheldIsReported: verify names a running task that no live worker holds, and does not take it for a breach.
func TestUnheldIsReported(t *testing.T) {
	onSeveral(t, func(t *testing.T, open func(...tasks.Handler) *enginetest.Stack) {
		ctx, s := context.Background(), open(&enginetest.Scripted{})
		id := s.Start(t, ctx, s.Define(t, "unheld", step("a", nil)), "")
		worker, claims := claimAs(t, s, 1)
		auditor := audit.New(s.DB)
		if r, err := auditor.Verify(ctx, audit.Options{}); err != nil || len(r.Unheld) > 0 {
			t.Errorf("a task that is held: %+v, %v", r, err)
		}
		must(t, s.DB.Transaction(ctx, func(tx db.Tx) error {
			_, err := tx.Exec(`UPDATE {workers} SET lease_expires_at = $at`,
				db.Args{"at": dbtype.NewTime(tx.Now.Add(-2 * audit.UnclaimedAfter))})
			return err
		}))
		for _, ids := range [][]dbtype.ID{nil, {id}} {
			r, err := auditor.Verify(ctx, audit.Options{IDs: ids})
			if err != nil || !r.OK() || len(r.Unheld) != 1 || r.Unheld[0].TaskExecutionID != claims[0].Task.ID ||
				string(r.Unheld[0].WorkerID) != worker {
				t.Errorf("a task of a dead worker: %s, %v", r, err)
			}
		}
	})
}
