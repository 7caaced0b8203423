package db_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// wide is a row with a value for each kind of column that a set may have.
type wide struct {
	key                     int64
	id, nullID              dbtype.ID
	text                    string
	nullText                dbtype.Text
	doc                     dbtype.JSON
	number                  int64
	nullNumber              int64 // 0: NULL
	at                      dbtype.Time
	idNull, numberNull, any bool // whether the database sees NULL
}

// payloads returns functions that make the rows of a set: all equal except for the key; all different; NULL in some
// rows or in all.
func payloads() map[string]func(i int) wide {
	at, one := dbtype.NewTime(time.Unix(1e9, 123456000)), dbtype.NewID()
	full := wide{
		id: one, nullID: one, text: "é'\"\n\\", nullText: "$1 ?", doc: dbtype.JSON(`{"a": [1, null, "ü"]}`),
		number: -7, nullNumber: 1 << 40, at: at,
	}
	return map[string]func(i int) wide{
		"alike":           func(int) wide { return full },
		"alike and empty": func(int) wide { return wide{id: one} },
		"different": func(i int) wide {
			return wide{
				id: dbtype.NewID(), nullID: dbtype.NewID(), text: fmt.Sprint("t", i),
				nullText: dbtype.Text(fmt.Sprint("n", i)), doc: dbtype.JSON(fmt.Sprintf(`{"i": %d}`, i)),
				number: int64(i), nullNumber: int64(i + 1),
				at: dbtype.NewTime(at.Add(time.Duration(i) * time.Microsecond)),
			}
		},
		"some empty": func(i int) wide {
			if i%3 == 1 {
				return wide{id: one}
			}
			return full
		},
		"the last differs": func(i int) wide {
			w := full
			if i > 0 && i%256 == 255 || i == 1 {
				w.number, w.text, w.nullText, w.doc, w.at, w.nullID, w.nullNumber = 0, "", "", nil, dbtype.Time{},
					dbtype.ID{}, 0
			}
			return w
		},
	}
}

// payloadSet returns a set whose columns other than the key are payload, or none of them.
func payloadSet(all []wide, payload bool) *db.RowSet {
	n := len(all)
	keys, ids, nullIDs, texts, nullTexts := make([]int64, n), make([]dbtype.ID, n), make([]dbtype.ID, n),
		make([]string, n), make([]string, n)
	docs, numbers, nullNumbers, times := make([]string, n), make([]int64, n), make([]int64, n), make([]dbtype.Time, n)
	for i, w := range all {
		keys[i], ids[i], nullIDs[i], texts[i], nullTexts[i] = w.key, w.id, w.nullID, w.text, string(w.nullText)
		docs[i], numbers[i], nullNumbers[i], times[i] = string(w.doc), w.number, w.nullNumber, w.at
	}
	set := db.NewRowSet(n).Ints("key", keys)
	if payload {
		set = set.WriteOnly()
	}
	return set.IDs("id", ids).NullIDs("null_id", nullIDs).Texts("text", texts).NullTexts("null_text", nullTexts).
		JSONs("doc", docs).
		Ints("number", numbers).NullInts("null_number", nullNumbers).Times("at", times)
}

// readBack returns the rows that the database reads from a set.
func readBack(t *testing.T, d *db.DB, set *db.RowSet) map[int64]wide {
	t.Helper()
	out := map[int64]wide{}
	err := d.Query(t.Context(),
		`SELECT x.key, x.id, x.null_id, x.text, x.null_text, x.doc, x.number, coalesce(x.null_number, 0), x.at,
  x.null_id IS NULL, x.null_number IS NULL, x.text IS NULL OR x.id IS NULL OR x.number IS NULL FROM $x
  WHERE true`, db.Args{"x": set},
		func(scan db.Scan) error {
			var w wide
			err := scan(&w.key, &w.id, &w.nullID, &w.text, &w.nullText, &w.doc, &w.number, &w.nullNumber, &w.at,
				&w.idNull, &w.numberNull, &w.any)
			if _, twice := out[w.key]; twice {
				t.Errorf("row %d came twice", w.key)
			}
			out[w.key] = w
			return err
		})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestPayloadArrives checks that each row gets its values, whatever is sent once, in sets of one row, of several
// rows, and of several parts.
func TestPayloadArrives(t *testing.T) {
	t.Parallel()
	withProbe(t, func(t *testing.T, d *db.DB) {
		for name, of := range payloads() {
			for _, n := range []int{1, 2, 3, 256, 700} {
				all, want := make([]wide, n), map[int64]wide{}
				for i := range all {
					all[i] = of(i)
					all[i].key = int64(i + 1)
					w := all[i]
					w.idNull, w.numberNull = w.nullID.IsZero(), w.nullNumber == 0
					want[w.key] = w
				}
				for _, payload := range []bool{true, false} {
					got := readBack(t, d, payloadSet(all, payload))
					if diff := cmp.Diff(want, got, cmp.AllowUnexported(wide{}), sameJSON); diff != "" {
						t.Errorf("%s, %d rows, payload %t (-sent +read):\n%s", name, n, payload, diff)
					}
				}
			}
		}
	})
}

// TestPayloadAloneKeepsItsRows checks that a set keeps its number of rows if all its rows are equal.
func TestPayloadAloneKeepsItsRows(t *testing.T) {
	t.Parallel()
	withProbe(t, func(t *testing.T, d *db.DB) {
		for _, n := range []int{1, 2, 300} {
			mustExec(t, d, `DELETE FROM {probe}`, nil)
			numbers, texts := make([]int64, n), make([]string, n)
			for i := range n {
				numbers[i], texts[i] = 4, "same"
			}
			set := db.NewRowSet(n).WriteOnly().Ints("n", numbers).Texts("txt", texts)
			if got := mustExec(t, d, `INSERT INTO {probe} (n, txt) SELECT x.n, x.txt FROM $x WHERE true`,
				db.Args{"x": set}); got != int64(n) {
				t.Errorf("%d rows were written of %d", got, n)
			}
		}
	})
}
