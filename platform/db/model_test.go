package db_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// probeRow is the row of the table probe.
type probeRow struct {
	N   *int64
	ID  dbtype.ID
	Txt dbtype.Text
	Doc dbtype.JSON
	At  dbtype.Time
}

// TestModelWritesAndReads checks that rows come back as they were inserted, whether they are alike, different or empty,
// and that a model of some columns leaves the others out.
func TestModelWritesAndReads(t *testing.T) {
	t.Parallel()
	table := db.ModelOf[probeRow]("probe")
	if got := table.Columns("p"); got != "p.n, p.id, p.txt, p.doc, p.at" {
		t.Fatalf("columns: %s", got)
	}
	at := dbtype.NewTime(time.Unix(1e9, 123456000))
	makers := map[string]func(i int) probeRow{
		"different": func(i int) probeRow {
			return probeRow{
				new(int64(i + 1)), dbtype.NewID(), dbtype.Text(fmt.Sprint("t", i)),
				dbtype.JSON(fmt.Sprintf(`{"i": %d}`, i)), dbtype.NewTime(at.Add(time.Duration(i) * time.Microsecond)),
			}
		},
		"only numbers": func(i int) probeRow { return probeRow{N: new(int64(i + 1))} },
		"some empty": func(i int) probeRow {
			if i%3 == 1 {
				return probeRow{N: new(int64(i + 1))}
			}
			return probeRow{N: new(int64(i + 1)), Txt: "same", At: at}
		},
	}
	withProbe(t, func(t *testing.T, d *db.DB) {
		for name, row := range makers {
			for _, n := range []int{0, 1, 2, 300} {
				for _, model := range []*db.Model[probeRow]{table, table.Without("doc"), table.Only("txt", "n")} {
					mustExec(t, d, `DELETE FROM {probe}`, nil)
					list := make([]probeRow, n)
					for i := range list {
						list[i] = row(i)
					}
					err := d.Write(t.Context(), func(b *db.Batch) error {
						model.Insert(b, "insert", db.Pointers(list))
						return nil
					})
					if err != nil {
						t.Fatalf("%s, %d rows: %v", name, n, err)
					}
					got := make([]probeRow, 0, n)
					err = d.Query(t.Context(), `SELECT `+model.Columns("")+` FROM {probe} ORDER BY n`, nil,
						model.Into(&got))
					if err != nil {
						t.Fatal(err)
					}
					want := make([]probeRow, n)
					for i, x := range list {
						for _, column := range model.Names() {
							switch column {
							case "n":
								want[i].N = x.N
							case "id":
								want[i].ID = x.ID
							case "txt":
								want[i].Txt = x.Txt
							case "doc":
								want[i].Doc = x.Doc
							case "at":
								want[i].At = x.At
							}
						}
					}
					if diff := cmp.Diff(want, got, sameJSON); diff != "" {
						t.Errorf("%s, %d rows, %s (-inserted +read):\n%s", name, n, model.Columns(""), diff)
					}
				}
			}
		}
	})
}

// TestModelRefuses checks that a model of a column that does not exist, or that no table can hold, ends the program.
func TestModelRefuses(t *testing.T) {
	t.Parallel()
	for name, make := range map[string]func(){
		"no such column": func() { db.ModelOf[probeRow]("probe").Without("nothing") },
		"a map":          func() { db.ModelOf[struct{ M bool }]("probe") },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			make()
		}()
	}
}
