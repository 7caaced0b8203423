package db_test

import (
	"encoding/json"
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

func TestCanonical(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		` {"b": 1.50, "a" : [true,null , "x"],"b":2}`:     `{"a":[true,null,"x"],"b":2}`,
		`[1e3, 1.50E2, -0, 0.0, 1e-3, -2.500]`:            `[1000,150,0,0.0,0.001,-2.500]`,
		`[10, 12345678901234567890123, 0.1e1, 100e-2]`:    `[10,12345678901234567890123,1,1.00]`,
		`"\u0041\/\u00e9\t\u0001<&>\u2028\ud83d\ude00\""`: "\"A/é\\t\\u0001<&>\u2028😀\\\"\"",
		`{"é":1,"z":2,"":3}`:                              `{"":3,"z":2,"é":1}`,
	} {
		got, err := dbtype.JSON(in).Canonical()
		if err != nil || string(got) != want {
			t.Errorf("%s: %s, %v; want %s", in, got, err, want)
		}
	}
	for _, bad := range []string{"{", "1 2", "nul"} {
		if got, err := dbtype.JSON(bad).Canonical(); err == nil {
			t.Errorf("%s: %s and no error", bad, got)
		}
	}
	if got, err := dbtype.JSON(nil).Canonical(); got != nil || err != nil {
		t.Errorf("nothing: %s, %v", got, err)
	}
}

// TestCanonicalNumbers checks that the canonical form changes how a number is written, and not its value.
func TestCanonicalNumbers(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.StringMatching(`-?(0|[1-9][0-9]{0,8})(\.[0-9]{1,6})?([eE][+-]?[0-9]{1,2})?`).Draw(t, "number")
		out, err := dbtype.JSON(in).Canonical()
		if err != nil {
			t.Fatal(err)
		}
		a, _ := new(big.Rat).SetString(in)
		b, ok := new(big.Rat).SetString(string(out))
		again, _ := out.Canonical()
		if !ok || a.Cmp(b) != 0 || string(again) != string(out) {
			t.Fatalf("%s became %s, and that %s", in, out, again)
		}
	})
}

// TestCanonicalIsOfNoDatabase checks that a document has the same canonical form after either database stored it.
func TestCanonicalIsOfNoDatabase(t *testing.T) {
	t.Parallel()
	docs := []string{
		`{"b":1.50,"a":{"z":1e3,"y":[-0.0,1E-2]},"long key":"\u00e9\/\n"}`, `[]`, `"x"`, `0.10`,
		`{"aa":1,"b":2,"a":3}`,
	}
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		for _, doc := range docs {
			var back dbtype.JSON
			err := d.Transaction(t.Context(), func(tx db.Tx) error {
				if _, err := tx.Exec(
					`INSERT INTO {pipeline_definitions} (pipeline_name, version, definition) VALUES ('p', $v, $doc)`,
					db.Args{"v": doc, "doc": dbtype.JSON(doc)}); err != nil {
					return err
				}
				return tx.Query(`SELECT definition FROM {pipeline_definitions} WHERE version = $v`, db.Args{"v": doc},
					func(scan db.Scan) error { return scan(&back) })
			})
			if err != nil {
				t.Fatal(err)
			}
			want, _ := dbtype.JSON(doc).Canonical()
			got, err := back.Canonical()
			if err != nil || string(got) != string(want) || !json.Valid(got) {
				t.Errorf("%s kept as %s: %s, %v; want %s", doc, back, got, err, want)
			}
		}
	})
}
