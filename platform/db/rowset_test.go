package db_test

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

const insertRows = `INSERT INTO {probe} (n, id, txt, doc, at) SELECT s.n, s.id, s.txt, s.doc, s.at FROM $s WHERE true`

// setOf returns a set with a column of each kind that may be NULL.
func setOf(all []row) *db.RowSet {
	n, ids, texts := make([]int64, len(all)), make([]dbtype.ID, len(all)), make([]string, len(all))
	docs, times := make([]string, len(all)), make([]dbtype.Time, len(all))
	for i, r := range all {
		n[i], ids[i], texts[i], docs[i], times[i] = r.N, r.ID, string(r.Txt), string(r.Doc), r.At
	}
	return db.NewRowSet(len(all)).Ints("n", n).NullIDs("id", ids).NullTexts("txt", texts).JSONs("doc", docs).
		Times("at", times)
}

// sameJSON compares documents by value, because PostgreSQL reorders keys and drops spaces.
var sameJSON = cmp.Comparer(func(a, b dbtype.JSON) bool {
	if len(a) == 0 || len(b) == 0 {
		return len(a) == len(b)
	}
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
})

// TestSetsKeepEveryValue checks that rows of any values arrive unchanged.
func TestSetsKeepEveryValue(t *testing.T) {
	t.Parallel()
	withProbe(t, func(t *testing.T, d *db.DB) {
		rapid.Check(t, func(rt *rapid.T) {
			want := rapid.SliceOfN(rapid.Custom(randomRow), 0, 40).Draw(rt, "rows")
			for i := range want {
				want[i].N = int64(i)
			}
			mustExec(t, d, `DELETE FROM {probe}`, nil)
			if n := mustExec(t, d, insertRows, db.Args{"s": setOf(want)}); n != int64(len(want)) {
				rt.Fatalf("Exec says %d rows, expected %d", n, len(want))
			}
			got := rows(t, d)
			if diff := cmp.Diff(want, append([]row{}, got...), sameJSON); diff != "" {
				rt.Fatalf("(-sent +read):\n%s", diff)
			}
		})
	})
}

func randomRow(t *rapid.T) row {
	var r row
	if rapid.Bool().Draw(t, "has id") {
		r.ID = dbtype.NewID()
	}
	r.Txt = dbtype.Text(rapid.StringMatching(`[^\x00]{0,30}`).Draw(t, "text"))
	if rapid.Bool().Draw(t, "has document") {
		b, err := json.Marshal(map[string]any{"é\n'\"": string(r.Txt), "n": rapid.Int32().
			Draw(t, "number"), "null": nil, "list": []int{1, 2}})
		if err != nil {
			t.Fatal(err)
		}
		r.Doc = b
	}
	if us := rapid.Int64Range(-9e15, 2.5e17).Draw(t, "microseconds"); us != 0 {
		r.At = dbtype.NewTime(time.UnixMicro(us))
	}
	return r
}

// TestZeroValues checks that plain columns keep the zero value, and that Null columns turn it into NULL.
func TestZeroValues(t *testing.T) {
	t.Parallel()
	withProbe(t, func(t *testing.T, d *db.DB) {
		set := db.NewRowSet(1).Ints("a", []int64{0}).NullInts("b", []int64{0}).Texts("c", []string{""}).
			NullTexts("d", []string{""}).
			NullIDs("e", []dbtype.ID{{}}).JSONs("f", []string{""}).Times("g", []dbtype.Time{{}}).
			IDs("h", []dbtype.ID{dbtype.NewID()})
		const nulls = `SELECT count(s.a), count(s.b), count(s.c), count(s.d), count(s.e), count(s.f),
  count(s.g), count(s.h) FROM $s`
		var got [8]int64
		err := d.Query(t.Context(), nulls, db.Args{"s": set}, func(scan db.Scan) error {
			return scan(&got[0], &got[1], &got[2], &got[3], &got[4], &got[5], &got[6], &got[7])
		})
		if err != nil {
			t.Fatal(err)
		}
		if want := [8]int64{1, 0, 1, 0, 0, 0, 0, 1}; got != want {
			t.Errorf("values that are not NULL: %v, expected %v", got, want)
		}
	})
}

// TestLargeSets checks that large sets are sent in parts, and that Exec and Query cover all parts.
func TestLargeSets(t *testing.T) {
	t.Parallel()
	const size = 45000 // more than two parts in either database
	withProbe(t, func(t *testing.T, d *db.DB) {
		all := make([]row, size)
		for i := range all {
			all[i] = row{N: int64(i), ID: dbtype.NewID(), Txt: "x"}
		}
		set := setOf(all)
		if n := mustExec(t, d, insertRows, db.Args{"s": set}); n != size {
			t.Errorf("inserted %d rows, expected %d", n, size)
		}
		if n := count(t, d, `SELECT count(DISTINCT id) FROM {probe}`, nil); n != size {
			t.Errorf("the table has %d rows, expected %d", n, size)
		}
		seen := map[int64]bool{}
		err := d.Query(t.Context(), `SELECT s.n FROM $s WHERE s.txt = $text`, db.Args{"s": set, "text": "x"},
			func(scan db.Scan) error {
				var n int64
				err := scan(&n)
				seen[n] = true
				return err
			})
		if err != nil || len(seen) != size {
			t.Errorf("Query saw %d rows, expected %d: %v", len(seen), size, err)
		}
	})
}

// TestEmptySetRunsNothing uses a statement that would fail if it ran.
func TestEmptySetRunsNothing(t *testing.T) {
	t.Parallel()
	withProbe(t, func(t *testing.T, d *db.DB) {
		args := db.Args{"s": db.IDRows(nil)}
		if n := mustExec(t, d, `INSERT INTO {no_such_table} SELECT s.id FROM $s`, args); n != 0 {
			t.Errorf("an empty set changed %d rows", n)
		}
		err := d.Query(t.Context(), `SELECT nonsense FROM $s`, args, func(func(...any) error) error {
			t.Error("an empty set gave a row")
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}

func TestSetUsedTwice(t *testing.T) {
	t.Parallel()
	withProbe(t, func(t *testing.T, d *db.DB) {
		a, b, other := dbtype.NewID(), dbtype.NewID(), dbtype.NewID()
		mustExec(t, d, insertRows, db.Args{"s": setOf([]row{{N: 1, ID: a}, {N: 2, ID: b}, {N: 3, ID: other}})})
		const statement = `SELECT count(*) FROM {probe} AS p WHERE p.id IN (SELECT s.id FROM $s) AND p.n > $least
			AND EXISTS (SELECT 1 FROM $s WHERE s.id = p.id) AND p.n >= $least`
		if n := count(t, d, statement, db.Args{"s": db.IDRows([]dbtype.ID{a, b}), "least": 1}); n != 1 {
			t.Errorf("found %d rows, expected the second alone", n)
		}
	})
}

func TestColumnOfAnotherLengthPanics(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("a column of another length was taken")
		}
	}()
	db.NewRowSet(2).Ints("n", []int64{1})
}
