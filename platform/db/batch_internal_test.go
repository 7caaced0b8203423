package db

import (
	"context"
	"errors"
	"slices"
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

const insertA = `INSERT INTO {a} SELECT x.n FROM $x WHERE true`

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

// TestBatchKeepsItsOrder checks that nothing is sent before Send, that the statements are then sent in their order, and
// that the batch can be used again.
func TestBatchKeepsItsOrder(t *testing.T) {
	t.Parallel()
	for _, d := range []dialect{&sqlite{}, &postgres{}} {
		tx, sent := sentTx(t, d, func(q queuedStatement) int64 { return int64(len(values(q))) })
		b := tx.Batch()
		b.Exec("a", insertA, Args{"x": numbers(1, 2)})
		b.Exec("other", `DELETE FROM {a}`, nil)
		b.Exec("a", insertA, Args{"x": numbers(3)})
		if len(*sent) != 0 {
			t.Fatalf("%d statements were sent before the batch", len(*sent))
		}
		for range 2 { // the second has nothing to send
			if err := b.Send(); err != nil {
				t.Fatal(err)
			}
		}
		b.Exec("a", insertA, Args{"x": numbers(5)})
		if err := b.Send(); err != nil {
			t.Fatal(err)
		}
		var rows [][]int64
		for _, q := range *sent {
			rows = append(rows, values(q))
		}
		if diff := cmp.Diff([][]int64{{1, 2}, nil, {3}, {5}}, rows); diff != "" {
			t.Errorf("%T (-want +got):\n%s", d, diff)
		}
		b.Exec("wrong", `SELECT $missing`, nil)
		b.Exec("a", insertA, Args{"x": numbers(6)})
		if err := b.Send(); !errors.Is(err, errStatement) || len(*sent) != 4 {
			t.Errorf("%T: a batch with an invalid statement: %v, %d statements were sent", d, err, len(*sent))
		}
	}
}

// TestBatchCounts checks that the rows of all parts of a set are counted together and once.
func TestBatchCounts(t *testing.T) {
	t.Parallel()
	errShort := errors.New("short")
	many := make([]int64, 701)
	for i := range many {
		many[i] = int64(i)
	}
	for _, d := range []dialect{&sqlite{}, &postgres{}} {
		for _, missing := range []int64{0, 1} {
			tx, sent := sentTx(t, d, func(q queuedStatement) int64 {
				rows := values(q)
				if slices.Contains(rows, 2) {
					return int64(len(rows)) - missing
				}
				return int64(len(rows))
			})
			var written []int64
			b := tx.Batch()
			b.ExecExpect("a", insertA, Args{"x": numbers(many...)}, int64(len(many)), func(n int64) error {
				written = append(written, n)
				return errShort
			})
			err := b.Send()
			var rows []int64
			for _, q := range *sent {
				rows = append(rows, values(q)...)
			}
			if diff := cmp.Diff(many, rows); diff != "" {
				t.Errorf("%T: %s", d, diff)
			}
			var want []int64
			if missing > 0 {
				want = []int64{700}
			}
			if diff := cmp.Diff(want, written); diff != "" || errors.Is(err, errShort) != (missing > 0) {
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
			`(SELECT c0 AS n, c1 AS t, $3::text AS u, c3 AS v FROM unnest($1::bigint[], $2::text[], $4::text[]) ` +
				`AS u(c0, c1, c3)) AS x`,
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
