package engine_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/sluiceworks/sluice/modules/enginetest"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// hiccups makes the database roll every so many claims back for a reason that passes, and returns what ends that:
// serialization failures in PostgreSQL; in SQLite a writer beside the workers that holds the file's lock again and
// again.
func hiccups(t *testing.T, d *db.DB) (end func()) {
	t.Helper()
	if d.Backend() == "postgres" {
		dbtest.Exec(t, d, `CREATE SEQUENCE {hiccups}`,
			`CREATE FUNCTION {hiccup}() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN
IF nextval(''public.hiccups'') % 11 = 0
THEN RAISE EXCEPTION ''hiccup'' USING ERRCODE = ''serialization_failure''; END IF;
RETURN OLD; END'`,
			`CREATE TRIGGER hiccup BEFORE DELETE ON {task_outbox} FOR EACH ROW EXECUTE FUNCTION {hiccup}()`)
		return func() { dbtest.Exec(t, d, `DROP FUNCTION {hiccup}() CASCADE`, `DROP SEQUENCE {hiccups}`) }
	}
	dbtest.Exec(t, d, `CREATE TABLE {hiccups} (n integer)`)
	other := dbtest.Open(t, d.URL())
	ctx, stop := context.WithCancel(t.Context())
	var writer sync.WaitGroup
	writer.Go(func() {
		for ctx.Err() == nil {
			err := other.Transaction(ctx, func(tx db.Tx) error {
				_, err := tx.Exec(`INSERT INTO {hiccups} VALUES (1)`, nil)
				return err
			})
			if err != nil && ctx.Err() == nil {
				t.Errorf("the writer beside: %v", err)
			}
		}
	})
	return func() {
		stop()
		writer.Wait()
		dbtest.Exec(t, d, `DROP TABLE {hiccups}`)
	}
}

// TestClaimingThroughHiccups: transactions that the database rolls back are run again, and still each task is claimed
// once.
func TestClaimingThroughHiccups(t *testing.T) {
	t.Parallel()
	const width, workers = 200, 4
	enginetest.Each(t, scripted, func(t *testing.T, s *enginetest.Stack) {
		list := works(width)
		h := newByHand(t, s, "wide", list...)
		h.steps(h.start)
		end := hiccups(t, s.DB)
		y := &tally{claims: map[dbtype.ID]int{}}
		var group sync.WaitGroup
		for i := range workers {
			other := enginetest.New(t, dbtest.Open(t, s.DB.URL()), scripted...)
			group.Go(func() { y.claimAll(t, other, fmt.Sprintf("worker-%d", i)) })
		}
		group.Wait()
		end()
		if err := errors.Join(y.errs...); err != nil {
			t.Errorf("claiming: %v", err)
		}
		for id, n := range y.claims {
			if n != 1 {
				t.Errorf("task %s was claimed %d times", id, n)
			}
		}
		if n, err := s.Outbox.CountPending(h.ctx); err != nil || n != 0 || len(y.claims) != width {
			t.Errorf("%d tasks were claimed and %d rows are left (%v), expected all %d claimed", len(y.claims), n, err,
				width)
		}
	})
}
