package db_test

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
)

// meeting lets the first two callers continue together. Later callers pass without waiting.
type meeting struct {
	mu     sync.Mutex
	missed int
	open   chan struct{}
}

func newMeeting() *meeting { return &meeting{missed: 2, open: make(chan struct{})} }

func (m *meeting) wait() {
	m.mu.Lock()
	m.missed--
	if m.missed == 0 {
		close(m.open)
	}
	m.mu.Unlock()
	<-m.open
}

// together runs fn(0) and fn(1) concurrently.
func together(t *testing.T, fn func(i int) error) {
	t.Helper()
	var wg sync.WaitGroup
	for i := range 2 {
		wg.Go(func() {
			if err := fn(i); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// TestDeadlockIsRetried runs two transactions that lock two rows in opposite order.
func TestDeadlockIsRetried(t *testing.T) {
	t.Parallel()
	d := dbtest.Postgres(t)
	makeProbe(t, d)
	mustExec(t, d, insertRows, db.Args{"s": setOf([]row{{N: 0, Txt: "a"}, {N: 1, Txt: "b"}})})
	m, runs := newMeeting(), atomic.Int32{}
	together(t, func(i int) error {
		return d.Transaction(t.Context(), func(tx db.Tx) error {
			runs.Add(1)
			if _, err := tx.Exec(`SET LOCAL deadlock_timeout = '10ms'`, nil); err != nil {
				return err
			}
			if _, err := tx.Exec(`UPDATE {probe} SET txt = txt || 'x' WHERE n = $n`, db.Args{"n": i}); err != nil {
				return err
			}
			m.wait()
			_, err := tx.Exec(`UPDATE {probe} SET txt = txt || 'y' WHERE n = $n`, db.Args{"n": 1 - i})
			return err
		})
	})
	if n := runs.Load(); n < 3 {
		t.Errorf("the transactions ran %d times in all, expected a third run after the deadlock", n)
	}
	for _, r := range rows(t, d) {
		if len(r.Txt) != 3 {
			t.Errorf("row %d has %q, expected each transaction's letter once", r.N, r.Txt)
		}
	}
}

// TestSerializationFailureIsRetried runs two transactions that each read the sum and add a row with it.
func TestSerializationFailureIsRetried(t *testing.T) {
	t.Parallel()
	d := dbtest.Postgres(t)
	makeProbe(t, d)
	m, runs := newMeeting(), atomic.Int32{}
	together(t, func(int) error {
		return d.Transaction(t.Context(), func(tx db.Tx) error {
			runs.Add(1)
			if _, err := tx.Exec(`SET TRANSACTION ISOLATION LEVEL SERIALIZABLE`, nil); err != nil {
				return err
			}
			var n int64
			err := tx.Query(`SELECT count(*) FROM {probe}`, nil,
				func(scan db.Scan) error { return scan(&n) })
			if err != nil {
				return err
			}
			m.wait()
			_, err = tx.Exec(`INSERT INTO {probe} (n) VALUES ($n)`, db.Args{"n": n})
			return err
		})
	})
	if n := runs.Load(); n < 3 {
		t.Errorf("the transactions ran %d times in all, expected a third run after the failure", n)
	}
	if diff := cmp.Diff([]row{{N: 0}, {N: 1}}, rows(t, d)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// impatient makes a handle wait a millisecond for a lock, instead of seconds.
func impatient(t *testing.T, d *db.DB) func(tx db.Tx) error {
	t.Helper()
	if d.Backend() == "sqlite" { // for the handle's only writing connection, permanently
		mustExec(t, d, `PRAGMA busy_timeout = 1`, nil)
		return func(db.Tx) error { return nil }
	}
	return func(tx db.Tx) error {
		_, err := tx.Exec(`SET LOCAL lock_timeout = '1ms'`, nil)
		return err
	}
}

// TestLockedIsRetried runs a transaction that finds its row locked by another handle several times.
func TestLockedIsRetried(t *testing.T) {
	t.Parallel()
	withProbe(t, func(t *testing.T, holder *db.DB) {
		d := dbtest.Open(t, holder.URL())
		begin := impatient(t, d)
		held, release, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
		go func() {
			done <- holder.Transaction(t.Context(), func(tx db.Tx) error {
				_, err := tx.Exec(lockProbe(holder), nil)
				close(held)
				<-release
				return err
			})
		}()
		<-held
		// The lock is held for many times the other handle's lock timeout.
		time.AfterFunc(50*time.Millisecond, func() { close(release) })
		err := d.Transaction(t.Context(), func(tx db.Tx) error {
			if err := begin(tx); err != nil {
				return err
			}
			_, err := tx.Exec(insertOne, db.Args{"n": 1, "at": tx.Now})
			return err
		})
		if err := errors.Join(<-done, err); err != nil {
			t.Error(err)
		}
		if n := len(rows(t, d)); n != 1 {
			t.Errorf("the table has %d rows, expected 1", n)
		}
	})
}

func lockProbe(d *db.DB) string {
	if d.Backend() == "sqlite" {
		return `DELETE FROM {probe}` // any write locks the file
	}
	return `LOCK TABLE {probe} IN ACCESS EXCLUSIVE MODE`
}

// TestAttemptsAreBounded checks that a lasting lock leads to an error that says why.
func TestAttemptsAreBounded(t *testing.T) {
	t.Parallel()
	withProbe(t, func(t *testing.T, holder *db.DB) {
		d := dbtest.Open(t, holder.URL())
		begin := impatient(t, d)
		err := holder.Transaction(t.Context(), func(held db.Tx) error {
			if _, err := held.Exec(lockProbe(holder), nil); err != nil {
				return err
			}
			runs := 0
			err := d.Transaction(t.Context(), func(tx db.Tx) error {
				runs++
				if err := begin(tx); err != nil {
					return err
				}
				_, err := tx.Exec(insertOne, db.Args{"n": 1, "at": tx.Now})
				return err
			})
			if err == nil || !strings.Contains(err.Error(), "gave up after 10 attempts") ||
				!strings.Contains(err.Error(), "lock") {
				t.Errorf("Transaction gave %v, expected that it gave up on a lock after 10 attempts", err)
			}
			if d.Backend() == "postgres" && runs != 10 {
				t.Errorf("the function ran %d times, expected 10", runs)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		if n := len(rows(t, d)); n != 0 {
			t.Errorf("the table has %d rows, expected none", n)
		}
	})
}

// TestWritersOfOneFile checks that many transactions that read and then write, through two handles, lose nothing and
// never fail.
func TestWritersOfOneFile(t *testing.T) {
	t.Parallel()
	withProbe(t, func(t *testing.T, d *db.DB) {
		handles := [2]*db.DB{d, dbtest.Open(t, d.URL())}
		mustExec(t, d, `INSERT INTO {probe} (n) VALUES (0)`, nil)
		const each = 50
		together(t, func(i int) error {
			for range each {
				err := handles[i].Transaction(t.Context(), func(tx db.Tx) error {
					var n int64
					read := `SELECT n FROM {probe} $for_update`
					if err := tx.Query(read, nil, func(scan db.Scan) error { return scan(&n) }); err != nil {
						return err
					}
					_, err := tx.Exec(`UPDATE {probe} SET n = $n`, db.Args{"n": n + 1})
					return err
				})
				if err != nil {
					return err
				}
			}
			return nil
		})
		if got := rows(t, d)[0].N; got != 2*each {
			t.Errorf("counted to %d, expected %d", got, 2*each)
		}
	})
}
