package db_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
)

// oneConnection opens a PostgreSQL database with a pool of one connection, so that the test can read what the session
// keeps.
func oneConnection(t *testing.T) *db.DB {
	t.Helper()
	u := dbtest.PostgresURL(t)
	sign := "?"
	if strings.Contains(u, "?") {
		sign = "&"
	}
	return dbtest.Open(t, u+sign+"pool_max_conns=1")
}

// planned returns how many prepared statements contain a mark, and how often they got a generic and a custom plan.
func planned(t *testing.T, d *db.DB, mark string) (statements, generic, custom int64) {
	t.Helper()
	err := d.Query(t.Context(),
		`SELECT count(*), coalesce(sum(generic_plans), 0)::bigint, coalesce(sum(custom_plans), 0)::bigint
FROM pg_catalog.pg_prepared_statements WHERE position($mark IN statement) > 0
  AND position('pg_prepared_statements' IN statement) = 0`, db.Args{"mark": mark},
		func(scan db.Scan) error { return scan(&statements, &generic, &custom) })
	if err != nil {
		t.Fatal(err)
	}
	return statements, generic, custom
}

func planMode(t *testing.T, d *db.DB) (mode string) {
	t.Helper()
	err := d.Query(t.Context(), `SELECT current_setting('plan_cache_mode')`, nil,
		func(scan db.Scan) error { return scan(&mode) })
	if err != nil {
		t.Fatal(err)
	}
	return mode
}

// TestKeptPlans checks that the server keeps the plan of a statement with $keep_plan, whatever other statements are
// in its transaction, and of one with $keep_plan_of_one if its set has one row. It keeps no other plan. The session's
// mode is unchanged after the transaction, however that ended.
func TestKeptPlans(t *testing.T) {
	t.Parallel()
	d := oneConnection(t)
	makeProbe(t, d)
	statements := map[string]struct {
		sql  string
		rows int64
		kept bool
	}{
		"mark_kept":  {`INSERT INTO {probe} (n) SELECT x.n AS mark_kept FROM $x WHERE true $keep_plan`, 3, true},
		"mark_other": {`INSERT INTO {probe} (n) SELECT x.n AS mark_other FROM $x WHERE true`, 3, false},
		"mark_single": {`UPDATE {probe} AS mark_single SET txt = 'a' FROM $x
  WHERE mark_single.n = x.n $keep_plan_of_one`, 1, true},
		"mark_several": {`UPDATE {probe} AS mark_several SET txt = 'b' FROM $x
  WHERE mark_several.n = x.n $keep_plan_of_one`, 2, false},
		"mark_returned": {`DELETE FROM {probe} AS mark_returned USING $x WHERE mark_returned.n = -x.n $keep_plan
  RETURNING 1`, 2, true},
	}
	bad := errors.New("rolled back")
	const transactions = 9 // more than the five after which the server itself would choose
	for i := range transactions {
		err := d.Transaction(t.Context(), func(tx db.Tx) error {
			b := tx.Batch()
			for mark, s := range statements {
				n := make([]int64, s.rows)
				for j := range n {
					n[j] = int64(i*10 + j)
				}
				b.Exec(mark, s.sql, db.Args{"x": db.NewRowSet(len(n)).Ints("n", n)})
			}
			if i%3 == 1 {
				return errors.Join(b.Send(), bad)
			}
			if i%3 == 2 {
				b.Exec("fail", `INSERT INTO {no_such_table} SELECT 1 $keep_plan`, nil)
			}
			return b.SendAtCommit()
		})
		if wantErr := i%3 != 0; (err != nil) != wantErr || i%3 == 1 && !errors.Is(err, bad) {
			t.Fatalf("transaction %d: %v", i, err)
		}
		if mode := planMode(t, d); mode != "force_custom_plan" {
			t.Fatalf("after transaction %d plan_cache_mode is %s", i, mode)
		}
	}
	for mark, s := range statements {
		n, generic, custom := planned(t, d, mark)
		got := fmt.Sprintf("%d statements, generic %t, custom %t", n, generic > 0, custom > 0)
		if diff := cmp.Diff(fmt.Sprintf("1 statements, generic %t, custom %t", s.kept, !s.kept), got); diff != "" {
			t.Errorf("%s: %d generic plans, %d custom ones (-want +got):\n%s", mark, generic, custom, diff)
		}
	}
}

// TestBatchOfATransaction checks on both databases that the statements of batches are all executed or none, that a
// statement that must change a number of rows fails the transaction if it does not, and that a batch that is not sent
// is an error.
func TestBatchOfATransaction(t *testing.T) {
	t.Parallel()
	const statement = `INSERT INTO {probe} (n, txt) SELECT x.n, $txt FROM $x WHERE x.n < 1000`
	errShort, errBad := errors.New("short"), errors.New("bad")
	set := func(from, to int64) *db.RowSet {
		var n []int64
		for ; from < to; from++ {
			n = append(n, from)
		}
		return db.NewRowSet(len(n)).Ints("n", n)
	}
	withProbe(t, func(t *testing.T, d *db.DB) {
		for _, test := range []struct {
			name   string
			last   int64 // of the rows; those beyond 1,000 are not written
			send   bool  // between the statements
			unsent bool
			end    error
			want   error
			left   int64
		}{
			{name: "both", last: 900, left: 900},
			{name: "sent in two", last: 900, send: true, left: 900},
			{name: "one row short", last: 1001, want: errShort},
			{name: "given up", last: 900, end: errBad, want: errBad},
			{name: "given up after the first", last: 900, send: true, end: errBad, want: errBad},
			{name: "not sent", last: 900, unsent: true, want: db.ErrUnsent},
		} {
			mustExec(t, d, `DELETE FROM {probe}`, nil)
			err := d.Transaction(t.Context(), func(tx db.Tx) error {
				b := tx.Batch()
				add := func(from, to int64) {
					b.ExecExpect("insert", statement, db.Args{"x": set(from, to), "txt": "a"}, to-from,
						func(written int64) error { return fmt.Errorf("%w: %d", errShort, written) })
				}
				add(0, 300)
				if test.send {
					if err := b.Send(); err != nil {
						return err
					}
				}
				add(300, test.last)
				if test.end != nil || test.unsent {
					return test.end
				}
				return b.SendAtCommit()
			})
			if !errors.Is(err, test.want) || test.want == nil && err != nil {
				t.Errorf("%s: %v, expected %v", test.name, err, test.want)
			}
			if n := count(t, d, `SELECT count(DISTINCT n) FROM {probe} WHERE txt = 'a'`, nil); n != test.left {
				t.Errorf("%s: %d rows are there, expected %d", test.name, n, test.left)
			}
		}
	})
}
