package engine_test

import (
	"errors"
	"testing"
	"time"

	"github.com/sluiceworks/sluice/modules/enginetest"
	"github.com/sluiceworks/sluice/modules/outbox"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// awaitLock returns when a transaction of this test's database waits for another's lock. SQLite's writers wait before
// they read anything, so there is nothing to see there, and nothing to await.
func awaitLock(t *testing.T, d *db.DB, finished <-chan error) {
	t.Helper()
	if d.Backend() != "postgres" {
		return
	}
	for n := 0; n == 0; {
		select {
		case err := <-finished:
			t.Fatalf("it did not wait for the claim that is under way: %v", err)
		default:
		}
		err := d.Query(t.Context(),
			`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
			nil, func(scan db.Scan) error { return scan(&n) })
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestControlWaitsForClaimsUnderWay: a pause or a cancel that meets a claim before its commit waits for it, and then
// acts upon the task as the claim has left it.
func TestControlWaitsForClaimsUnderWay(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		control func(h *byHand) error
		task    tasks.Status
	}{
		"pause":  {(*byHand).pause, tasks.Running},
		"cancel": {(*byHand).cancel, tasks.Cancelled},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			enginetest.Each(t, scripted, func(t *testing.T, s *enginetest.Stack) {
				h := newByHand(t, s, "race", work("a"), work("b", "a"))
				h.steps(h.start)
				finished := make(chan error, 1)
				err := s.DB.Transaction(h.ctx, func(tx db.Tx) error {
					b := tx.Batch()
					due, err := s.Outbox.Claim(b, outbox.ClaimFilter{Handlers: s.Handlers.Names(), Limit: 1})
					if err := errors.Join(err, b.Send()); err != nil {
						return err
					}
					list := s.Tasks.Load(b, []dbtype.ID{due.Rows()[0].TaskExecutionID})
					if err := b.Send(); err != nil {
						return err
					}
					m := (*list)[0].Claim("w", dbtype.NewTime(tx.Now.Add(time.Minute)), tx.Now).MarkStarted()
					if err := errors.Join(s.Tasks.Apply(b, []*tasks.Change{m}), b.Send()); err != nil {
						return err
					}
					go func() { finished <- c.control(h) }()
					awaitLock(t, s.DB, finished)
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
				if err := <-finished; err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				if got := taskNamed(t, h, "a").Status; got != c.task {
					t.Errorf("the claimed task is %s, expected %s", got, c.task)
				}
				if n, err := s.Outbox.CountPending(h.ctx); err != nil || n != 0 {
					t.Errorf("%d outbox rows (%v), expected none", n, err)
				}
			})
		})
	}
}
