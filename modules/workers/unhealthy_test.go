package workers_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluiceworks/sluice/modules/enginetest"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/modules/workers"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// alter changes the schema under the running pools.
func alter(t *testing.T, s *enginetest.Stack, statement string) {
	t.Helper()
	must(t, s.DB.Transaction(context.Background(), func(tx db.Tx) error {
		_, err := tx.Exec(statement, nil)
		return err
	}))
}

// TestOutcomeWaitsForTheDatabase: an outcome that the database does not take, for a reason that says nothing about the
// outcome, is kept for as long as that lasts and recorded then, and is not made a failure. Nor does it, or the claims
// that fail meanwhile, flood the log.
func TestOutcomeWaitsForTheDatabase(t *testing.T) {
	onSeveral(t, func(t *testing.T, open func(...tasks.Handler) *enginetest.Stack) {
		ctx, g := context.Background(), newGate()
		s := open(g.handler("gate"))
		def := s.Define(t, "unwell", definition.Task{ID: "a", Uses: "gate"})
		next := s.Start(t, ctx, def, "")
		must(t, s.DB.Transaction(ctx, func(tx db.Tx) error { // it is to be claimed during the outage
			_, err := tx.Exec(`UPDATE {task_outbox} SET available_at = $at`,
				db.Args{"at": dbtype.NewTime(tx.Now.Add(3 * time.Second))})
			return err
		}))
		id := s.Start(t, ctx, def, "")
		stop, logs := observed(t, s, workers.Config{Slots: 2, Drain: time.Minute})
		<-g.entered
		alter(t, s, `ALTER TABLE {execution_events} RENAME TO elsewhere`)
		close(g.out)
		<-time.After(14 * time.Second) // long enough for a dozen tries
		restored := `ALTER TABLE elsewhere RENAME TO execution_events`
		if s.DB.Backend() == "postgres" {
			restored = `ALTER TABLE public.elsewhere RENAME TO execution_events`
		}
		alter(t, s, restored)
		if e := s.Wait(t, ctx, id); e.Status != pipelines.Completed {
			t.Errorf("status %s: %s", e.Status, e.Error)
		}
		if diff := cmp.Diff(map[string]string{"pipeline": "started completed", "a": ran},
			sequences(t, s, id)); diff != "" {
			t.Errorf("history (-want +got):\n%s", diff)
		}
		if e := s.Wait(t, ctx, next); e.Status != pipelines.Completed {
			t.Errorf("status %s: %s", e.Status, e.Error)
		}
		stop()
		for _, what := range []string{"recording outcomes failed", "failed to claim tasks"} {
			if n := logs.FilterMessageSnippet(what).Len(); n < 1 || n > 3 {
				t.Errorf("an outage of 14 s is told of in %d lines of %q: %v", n, what, logs.All())
			}
		}
	})
}

// TestOutcomeThatWaitsHoldsUpNoOther: on a server, a row that can't be written for its state keeps the outcomes of
// other runs from nothing.
func TestOutcomeThatWaitsHoldsUpNoOther(t *testing.T) {
	onSeveral(t, func(t *testing.T, open func(...tasks.Handler) *enginetest.Stack) {
		ctx, g := context.Background(), newGate()
		s := open(g.handler("gate"))
		if s.DB.Backend() != "postgres" {
			return // a file is well or unwell as a whole
		}
		def := s.Define(t, "unwell", definition.Task{ID: "a", Uses: "gate"},
			definition.Task{ID: "b", Needs: []string{"a"}, Uses: "gate"})
		var ids []dbtype.ID
		for range 10 {
			ids = append(ids, s.Start(t, ctx, def, ""))
		}
		s.Work(t, ctx, workers.Config{Slots: 10})
		for range 10 {
			<-g.entered
		}
		alter(t, s, `CREATE FUNCTION public.unwell() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION `+
			`''not now'' USING ERRCODE = ''query_canceled''; END'`)
		alter(t, s, `CREATE TRIGGER unwell BEFORE UPDATE ON {task_executions} FOR EACH ROW WHEN `+
			`(OLD.pipeline_execution_id = '`+ids[4].String()+
			`') EXECUTE FUNCTION public.unwell()`)
		close(g.out)
		for i, id := range ids {
			if i != 4 {
				if e := s.Wait(t, ctx, id); e.Status != pipelines.Completed {
					t.Errorf("run %d is %s: %s", i, e.Status, e.Error)
				}
			}
		}
		if x := taskRow(t, s, ids[4], "a"); x.Status != tasks.Running {
			t.Errorf("the task whose outcome waits is %s: %s", x.Status, x.Error)
		}
		alter(t, s, `DROP TRIGGER unwell ON {task_executions}`)
		if e := s.Wait(t, ctx, ids[4]); e.Status != pipelines.Completed {
			t.Errorf("in the end it is %s: %s", e.Status, e.Error)
		}
	})
}
