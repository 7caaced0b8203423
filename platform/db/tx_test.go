package db_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

const insertOne = `INSERT INTO {probe} (n, at) VALUES ($n, $at)`

func TestTransactionCommits(t *testing.T) {
	t.Parallel()
	withProbe(t, func(t *testing.T, d *db.DB) {
		var now dbtype.Time
		err := d.Transaction(t.Context(), func(tx db.Tx) error {
			now = tx.Now
			for n := range 2 {
				if _, err := tx.Exec(insertOne, db.Args{"n": n, "at": tx.Now}); err != nil {
					return err
				}
			}
			var seen int64
			err := tx.Query(`SELECT count(*) FROM {probe}`, nil,
				func(scan db.Scan) error { return scan(&seen) })
			if seen != 2 {
				t.Errorf("the transaction sees %d of its own rows, expected 2", seen)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]row{{N: 0, At: now}, {N: 1, At: now}}, rows(t, d)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// TestTransactionRollsBack checks each way in which a transaction can end without success. The handle must work
// afterwards.
func TestTransactionRollsBack(t *testing.T) {
	t.Parallel()
	stop := errors.New("stop")
	withProbe(t, func(t *testing.T, d *db.DB) {
		ctx, cancel := context.WithCancel(t.Context())
		for name, test := range map[string]struct {
			ctx  context.Context
			end  func(tx db.Tx) error
			want error
		}{
			"error":             {t.Context(), func(db.Tx) error { return stop }, stop},
			"panic":             {t.Context(), func(db.Tx) error { panic(stop) }, stop},
			"cancelled context": {ctx, func(db.Tx) error { cancel(); return nil }, context.Canceled},
			"failed statement": {t.Context(), func(tx db.Tx) error {
				_, err := tx.Exec(`INSERT INTO {no_such_table} VALUES (1)`, nil)
				if err == nil {
					t.Error("a statement on a missing table gave no error")
				}
				return errors.Join(stop, err)
			}, stop},
		} {
			err := recovered(func() error {
				return d.Transaction(test.ctx, func(tx db.Tx) error {
					if _, err := tx.Exec(insertOne, db.Args{"n": 1, "at": tx.Now}); err != nil {
						return err
					}
					return test.end(tx)
				})
			})
			if !errors.Is(err, test.want) || errors.Is(err, db.ErrUnavailable) {
				t.Errorf("%s: %v, expected %v", name, err, test.want)
			}
			if got := rows(t, d); len(got) > 0 {
				t.Errorf("%s left %v", name, got)
			}
		}
		mustExec(t, d, insertOne, db.Args{"n": 2, "at": dbtype.NewTime(d.Now())})
	})
}

// recovered returns a panic's value as an error.
func recovered(fn func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = v.(error)
		}
	}()
	return fn()
}

// TestCancelledBefore checks that nothing runs if the context has already ended.
func TestCancelledBefore(t *testing.T) {
	t.Parallel()
	withProbe(t, func(t *testing.T, d *db.DB) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		err := d.Transaction(ctx, func(db.Tx) error {
			t.Error("the transaction ran")
			return nil
		})
		if !errors.Is(err, context.Canceled) || errors.Is(err, db.ErrUnavailable) {
			t.Errorf("Transaction gave %v, expected the context's error alone", err)
		}
		err = d.Query(ctx, `SELECT 1`, nil, func(func(...any) error) error { return nil })
		if !errors.Is(err, context.Canceled) || errors.Is(err, db.ErrUnavailable) {
			t.Errorf("Query gave %v, expected the context's error alone", err)
		}
	})
}

// TestCancelledDuring checks that a running statement ends with its context, and that the error does not blame the
// database.
func TestCancelledDuring(t *testing.T) {
	t.Parallel()
	long := map[string]string{
		"postgres": `SELECT 1 FROM pg_sleep(3600)`,
		// The driver may miss a cancellation that comes before its first step.
		"sqlite": `WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 20000000) SELECT count(*)
  FROM c`,
	}
	withProbe(t, func(t *testing.T, d *db.DB) {
		ctx, cancel := context.WithCancel(t.Context())
		err := d.Transaction(ctx, func(tx db.Tx) error {
			go cancel()
			return tx.Query(long[d.Backend()], nil, func(func(...any) error) error { return nil })
		})
		if err == nil || errors.Is(err, db.ErrUnavailable) || !errors.Is(err, context.Canceled) {
			t.Errorf("Transaction gave %v, expected the context's error alone", err)
		}
		mustExec(t, d, insertOne, db.Args{"n": 1, "at": dbtype.NewTime(d.Now())})
	})
}

func TestStatementErrors(t *testing.T) {
	t.Parallel()
	withProbe(t, func(t *testing.T, d *db.DB) {
		err := d.Query(t.Context(), `SELECT $absent`, nil, func(func(...any) error) error { return nil })
		if err == nil || !strings.Contains(err.Error(), "$absent") {
			t.Errorf("a missing value gave %v, expected its name", err)
		}
		stop := errors.New("stop")
		mustExec(t, d, insertOne, db.Args{"n": 1, "at": dbtype.Time{}})
		if err := d.Query(t.Context(), `SELECT n FROM {probe}`, nil,
			func(func(...any) error) error { return stop }); !errors.Is(err, stop) {
			t.Errorf("Query gave %v, expected the row function's error", err)
		}
		var id dbtype.ID
		err = d.Query(t.Context(), `SELECT $x`, db.Args{"x": 1.5},
			func(scan db.Scan) error { return scan(&id) })
		if err == nil {
			t.Error("a number was scanned into an id")
		}
	})
}

// TestReadingHandleOfFile checks that SQLite's reading handle refuses to write. On PostgreSQL reading and writing
// share their connections.
func TestReadingHandleOfFile(t *testing.T) {
	t.Parallel()
	d := dbtest.SQLite(t)
	makeProbe(t, d)
	err := d.Query(t.Context(), `INSERT INTO {probe} (n) VALUES (9) RETURNING n`, nil,
		func(func(...any) error) error { return nil })
	if err == nil || len(rows(t, d)) > 0 {
		t.Errorf("the handle for reading wrote: %v", err)
	}
}
