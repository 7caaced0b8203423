package db

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gorm.io/gorm"
)

// sentTx returns a transaction whose statements are recorded instead of sent. rows returns the number of rows that
// each of them reports.
func sentTx(t *testing.T, d dialect, rows func(q queuedStatement) int64) (Tx, *[]queuedStatement) {
	t.Helper()
	var sent []queuedStatement
	state := &txState{send: func(_ context.Context, list []queuedStatement) error {
		sent = append(sent, list...)
		for _, q := range list {
			if q.done != nil {
				if err := q.done(rows(q)); err != nil {
					return q.fail(err)
				}
			}
		}
		return nil
	}}
	g := &gorm.DB{Statement: &gorm.Statement{Context: t.Context()}}
	return Tx{gorm: g, tenant: "acme", dialect: d, state: state}, &sent
}

const insertA, insertB = `INSERT INTO {a} SELECT x.n FROM $x WHERE true`,
	`INSERT INTO {b} SELECT x.n, $k FROM $x WHERE true`

func numbers(n ...int64) *RowSet { return NewRowSet(len(n)).Ints("n", n) }

// values returns the numbers that a statement sends, in arrays or one by one.
func values(q queuedStatement) (list []int64) {
	for _, v := range q.vars {
		switch v := v.(type) {
		case intArray:
			list = append(list, v...)
		case int64:
			list = append(list, v)
		}
	}
	return list
}

// TestLaterInsertGathers checks that successive small sets of the same statement become one INSERT, with the rows in
// their order, after everything else in the queue, and that Flush sends what is queued by then.
func TestLaterInsertGathers(t *testing.T) {
	t.Parallel()
	for _, d := range []dialect{&sqlite{}, &postgres{}} {
		tx, sent := sentTx(t, d, func(q queuedStatement) int64 { return int64(len(values(q))) })
		wrong := func(written, expected int64) error {
			t.Errorf("%d of %d", written, expected)
			return nil
		}
		roomy := make([]int64, 2, 4) // its owner goes on using the spare capacity
		roomy[0], roomy[1] = 1, 2
		behind := append(roomy, 77)
		tx.QueueInsert("a", insertA, numbers(roomy...), nil, wrong)
		tx.QueueInsert("a", insertA, numbers(3, 4), nil, wrong)
		tx.QueueInsert("b", insertB, numbers(10), Args{"k": "text"}, wrong)
		if err := tx.QueueExec("other", `DELETE FROM {a}`, nil); err != nil {
			t.Fatal(err)
		}
		if len(*sent) != 0 {
			t.Fatalf("%d statements were sent before the flush", len(*sent))
		}
		for range 2 { // the second has nothing to send
			if err := tx.SendBatch(); err != nil {
				t.Fatal(err)
			}
		}
		tx.QueueInsert("a", insertA, numbers(5), nil, wrong)
		if err := tx.SendBatch(); err != nil {
			t.Fatal(err)
		}
		var got []string
		var rows [][]int64
		for _, q := range *sent {
			got, rows = append(got, strings.Trim(strings.Fields(strings.ReplaceAll(q.sql, `"acme".`, ""))[2], `"`)),
				append(rows, values(q))
		}
		if diff := cmp.Diff([]string{"a", "a", "b", "a"}, got); diff != "" {
			t.Errorf("%T (-want +got):\n%s", d, diff)
		}
		if diff := cmp.Diff([][]int64{nil, {1, 2, 3, 4}, {10}, {5}}, rows); diff != "" {
			t.Errorf("%T (-want +got):\n%s", d, diff)
		}
		if behind[2] != 77 {
			t.Errorf("%T: what lies behind the first set was overwritten with %d", d, behind[2])
		}
	}
}

// TestLaterInsertCounts checks that the rows of all parts of a set are counted together and once, and that large sets
// are sent separately.
func TestLaterInsertCounts(t *testing.T) {
	t.Parallel()
	errShort := errors.New("short")
	for _, d := range []dialect{&sqlite{}, &postgres{}} {
		for _, missing := range []int64{0, 1} {
			tx, sent := sentTx(t, d, func(q queuedStatement) int64 {
				rows := values(q)
				if slices.Contains(rows, 2) {
					return int64(len(rows)) - missing
				}
				return int64(len(rows))
			})
			var told [][2]int64
			short := func(written, expected int64) error {
				told = append(told, [2]int64{written, expected})
				return errShort
			}
			many := make([]int64, 701)
			for i := range many {
				many[i] = int64(i)
			}
			tx.QueueInsert("a", insertA, numbers(many[:300]...), nil, short)
			tx.QueueInsert("a", insertA, numbers(many[300:]...), nil, short)
			err := tx.SendBatch()
			var rows []int64
			for _, q := range *sent {
				rows = append(rows, values(q)...)
			}
			if diff := cmp.Diff(many, rows); diff != "" {
				t.Errorf("%T: %s", d, diff)
			}
			var want [][2]int64
			if missing > 0 {
				want = [][2]int64{{299, 300}}
			}
			if diff := cmp.Diff(want, told); diff != "" || errors.Is(err, errShort) != (missing > 0) {
				t.Errorf("%T, %d missing: %v %s", d, missing, err, diff)
			}
		}
	}
}

// TestPayloadIsHandedOverOnce checks that equal values of columns after Payload are sent once, those before it are
// not, and a single row is sent as single values.
func TestPayloadIsHandedOverOnce(t *testing.T) {
	t.Parallel()
	two := func() *RowSet {
		return NewRowSet(2).Ints("n", []int64{5, 5}).Texts("t", []string{"a", "a"}).WriteOnly().
			Texts("u", []string{"b", "b"}).Texts("v", []string{"c", "d"})
	}
	for _, test := range []struct {
		name            string
		set             *RowSet
		sqlite, postgre string
	}{
		{
			"two", two(), `(SELECT +column1 AS n, +column2 AS t, ? AS u, +column3 AS v` +
				` FROM (VALUES (?,?,?),(?,?,?))) AS x`,
			`(SELECT c0 AS n, c1 AS t, $3::text AS u, c3 AS v FROM unnest($1::bigint[], $2::text[], $4::text[]) AS u(c0,` +
				` c1, c3)) AS x`,
		},
		{
			"one", two().slice(0, 1), `(SELECT ? AS n, ? AS t, ? AS u, ? AS v) AS x`,
			`(SELECT $1::bigint AS n, $2::text AS t, $3::text AS u, $4::text AS v) AS x`,
		},
	} {
		for d, want := range map[dialect]string{&sqlite{}: test.sqlite, &postgres{}: test.postgre} {
			got, vars, err := render(d, "acme", `$x`, Args{"x": test.set})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" || test.set.rows == 1 && len(vars) != 4 {
				t.Errorf("%s, %d values (-want +got):\n%s", test.name, len(vars), diff)
			}
		}
	}
}
