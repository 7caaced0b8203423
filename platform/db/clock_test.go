package db_test

import (
	"testing"
	"time"

	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// TestClockIsTheDatabases checks that Now, which runs no query, agrees with a reading of the database's clock to
// within half the reading's duration.
func TestClockIsTheDatabases(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		start := time.Now()
		if err := d.SyncClock(t.Context()); err != nil {
			t.Fatal(err)
		}
		slack := time.Since(start) + time.Millisecond
		before := d.Now()
		read := databaseTime(t, d)
		after := d.Now()
		if read.Before(before.Add(-slack)) || read.After(after.Add(slack)) {
			t.Errorf("the database says %v between %v and %v by Now, expected no more than %v apart", read, before,
				after, slack)
		}
		if before.Location() != time.UTC || before.Nanosecond()%1000 != 0 {
			t.Errorf("Now gives %v, expected UTC and whole microseconds", before)
		}
	})
}

func databaseTime(t *testing.T, d *db.DB) time.Time {
	t.Helper()
	if d.Backend() == "sqlite" {
		return time.Now()
	}
	var at dbtype.Time
	err := d.Query(t.Context(), `SELECT clock_timestamp()`, nil,
		func(scan db.Scan) error { return scan(&at) })
	if err != nil {
		t.Fatal(err)
	}
	return at.Time
}

// TestTransactionHasOneInstant checks that a transaction has one time, and that no later transaction has an earlier
// one.
func TestTransactionHasOneInstant(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		last := dbtype.Time{}
		for range 5 {
			err := d.Transaction(t.Context(), func(tx db.Tx) error {
				if tx.Now.Before(last.Time) || tx.Now.IsZero() {
					t.Errorf("a transaction at %v followed one at %v", tx.Now, last)
				}
				last = tx.Now
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestAdvanceClock checks that a clock that was advanced stays ahead after it was read again, also in transactions.
func TestAdvanceClock(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		before := d.Now()
		d.AdvanceClock(time.Hour)
		d.AdvanceClock(time.Hour)
		if err := d.SyncClock(t.Context()); err != nil {
			t.Fatal(err)
		}
		err := d.Transaction(t.Context(), func(tx db.Tx) error {
			if ahead := tx.Now.Sub(before); ahead < 2*time.Hour-time.Minute || ahead > 2*time.Hour+time.Minute {
				t.Errorf("the transaction is %s ahead", ahead)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if recover() == nil {
				t.Error("the clock was set back")
			}
		}()
		d.AdvanceClock(-time.Second)
	})
}
