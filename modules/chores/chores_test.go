package chores_test

import (
	"errors"
	"testing"
	"time"

	"github.com/sluiceworks/sluice/modules/chores"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
)

// TestOneHolder checks that only one of many concurrent callers acquires the chore, that a silent holder loses it,
// and that a former holder can neither renew nor release it.
func TestOneHolder(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r := chores.NewRepository(d)
		take := func(who string, every time.Duration) bool {
			t.Helper()
			got, err := r.Acquire(t.Context(), "sweep", who, every)
			if err != nil {
				t.Error(err)
			}
			return got
		}
		renew := func(who string) error {
			return d.Transaction(t.Context(), func(tx db.Tx) error { return r.Renew(tx, "sweep", who) })
		}
		const rivals = 8
		won := make(chan string, rivals)
		for i := range rivals {
			go func() {
				who := string(rune('a' + i))
				if !take(who, 0) {
					who = ""
				}
				won <- who
			}()
		}
		holder := ""
		for range rivals {
			if who := <-won; who != "" && holder != "" {
				t.Errorf("%s and %s have it", holder, who)
			} else if who != "" {
				holder = who
			}
		}
		if holder == "" || renew(holder) != nil || take("other", 0) {
			t.Fatalf("holder %q, or another has it", holder)
		}
		err := d.Transaction(t.Context(), func(tx db.Tx) error {
			_, err := tx.Exec(`UPDATE {chores} SET expires_at = $now`, db.Args{"now": tx.Now})
			return err
		})
		if err != nil || !take("other", 0) {
			t.Fatalf("a silent holder keeps it (%v)", err)
		}
		if err := renew(holder); !errors.Is(err, chores.ErrNotHolder) {
			t.Errorf("who lost it renews: %v", err)
		}
		if err := r.Release(t.Context(), "sweep", holder, true); err != nil || take("third", 0) {
			t.Errorf("who lost it gives it back (%v)", err)
		}
		if err := r.Release(t.Context(), "sweep", "other", true); err != nil || take("third", time.Hour) ||
			!take("third", 0) {
			t.Errorf("after its end it is due at another time (%v)", err)
		}
	})
}
