package db_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// TestScalars checks that each kind of value comes back unchanged, and a zero value as NULL if it stands for NULL.
func TestScalars(t *testing.T) {
	t.Parallel()
	vienna, err := time.LoadLocation("Europe/Vienna")
	if err != nil {
		t.Fatal(err)
	}
	moment := time.Date(2026, 3, 29, 2, 59, 59, 123456789, vienna)
	id := dbtype.NewID()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		type values struct {
			S string
			I int
			L int64
			B bool
			F float64
			D dbtype.ID
			A dbtype.Time
			T dbtype.Text
			J dbtype.JSON
		}
		want := values{
			"it's $1 {x} ? @y \"é\" 🙂", -7, 1 << 62, true, 1.5, id, dbtype.NewTime(moment), "text",
			dbtype.JSON(`{"a": [1, null]}`),
		}
		var got values
		err := d.Query(t.Context(), `SELECT $s, $i, $l, $b, $f, $d, $a, $t, $j`, db.Args{
			"s": want.S, "i": want.I, "l": want.L, "b": want.B, "f": want.F, "d": want.D, "a": want.A, "t": want.T,
			"j": want.J,
		}, func(scan db.Scan) error {
			return scan(&got.S, &got.I, &got.L, &got.B, &got.F, &got.D, &got.A, &got.T, &got.J)
		})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, sameJSON); diff != "" {
			t.Errorf("(-sent +read):\n%s", diff)
		}
		if got.A.Location() != time.UTC || got.A.Nanosecond() != 123456000 {
			t.Errorf("time came back as %v, expected UTC and microseconds", got.A)
		}
		var nulls int64
		err = d.Query(t.Context(), `SELECT ($d IS NULL) AND ($a IS NULL) AND ($t IS NULL) AND ($j IS NULL)`, db.Args{
			"d": dbtype.ID{}, "a": dbtype.Time{}, "t": dbtype.Text(""), "j": dbtype.JSON(nil),
		}, func(scan db.Scan) error {
			var all bool
			err := scan(&all)
			if all {
				nulls++
			}
			return err
		})
		if err != nil || nulls != 1 {
			t.Errorf("zero values did not arrive as NULL: %v", err)
		}
	})
}

// TestModelRoundTrip writes and reads the types with models, as repositories do.
func TestModelRoundTrip(t *testing.T) {
	t.Parallel()
	withProbe(t, func(t *testing.T, d *db.DB) {
		want := []row{
			{N: 1},
			{N: 2, ID: dbtype.NewID(), Txt: "t", Doc: dbtype.JSON(`{"k":1}`), At: dbtype.NewTime(time.UnixMicro(-1))},
		}
		mustExec(t, d, insertRows, db.Args{"s": setOf(want)})
		g, err := d.Read(t.Context(), "probe")
		if err != nil {
			t.Fatal(err)
		}
		var got []row
		if err := g.Order("n").Find(&got).Error; err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, sameJSON); diff != "" {
			t.Errorf("(-sent +read):\n%s", diff)
		}
	})
}

func TestJSONForms(t *testing.T) {
	t.Parallel()
	type document struct {
		ID  dbtype.ID   `json:"id"`
		At  dbtype.Time `json:"at"`
		Txt dbtype.Text `json:"txt"`
		Doc dbtype.JSON `json:"doc"`
	}
	id, err := dbtype.ParseID("0197c2a4-7b1e-7000-8000-0123456789ab")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		in   document
		want string
	}{
		{document{}, `{"id":null,"at":null,"txt":null,"doc":null}`},
		{
			document{
				id, dbtype.NewTime(time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("x", 3600))), "t",
				dbtype.JSON(`[1]`),
			},
			`{"id":"0197c2a4-7b1e-7000-8000-0123456789ab","at":"2026-01-02T02:04:05.000000Z","txt":"t","doc":[1]}`,
		},
	} {
		b, err := json.Marshal(test.in)
		if err != nil || string(b) != test.want {
			t.Errorf("written as %s, expected %s: %v", b, test.want, err)
		}
		var back document
		if err := json.Unmarshal(b, &back); err != nil {
			t.Fatal(err)
		}
		if again, err := json.Marshal(back); err != nil || string(again) != test.want {
			t.Errorf("read and written again as %s, expected %s: %v", again, test.want, err)
		}
	}
	var id2 dbtype.ID
	var at dbtype.Time
	if id2.UnmarshalJSON([]byte(`"x"`)) == nil || at.UnmarshalJSON([]byte(`"x"`)) == nil {
		t.Error("nonsense was read as an id or a time")
	}
}

func TestParseID(t *testing.T) {
	t.Parallel()
	id := dbtype.NewID()
	if got, err := dbtype.ParseID(id.String()); err != nil || got != id {
		t.Errorf("ParseID gave %v, %v; expected %v", got, err, id)
	}
	for _, bad := range []string{"", "x", id.String()[:35], "{" + id.String() + "}", "urn:uuid:" +
		id.String(), id.String() + " "} {
		if _, err := dbtype.ParseID(bad); err == nil {
			t.Errorf("ParseID took %q", bad)
		}
	}
}

// TestIDsAscend checks that keys made one after the other are neighbours in an index.
func TestIDsAscend(t *testing.T) {
	t.Parallel()
	last := dbtype.NewID()
	for range 10000 {
		next := dbtype.NewID()
		if next.String() <= last.String() {
			t.Fatalf("%s was made after %s", next, last)
		}
		last = next
	}
}

func TestWrongStoredTypes(t *testing.T) {
	t.Parallel()
	var id dbtype.ID
	var at dbtype.Time
	var txt dbtype.Text
	var doc dbtype.JSON
	for name, err := range map[string]error{
		"id": id.Scan(1.5), "time": at.Scan("yesterday"), "text": txt.Scan(int64(1)), "JSON": doc.Scan(true),
	} {
		if err == nil {
			t.Errorf("%s: a value of a wrong type was read without an error", name)
		}
	}
}
