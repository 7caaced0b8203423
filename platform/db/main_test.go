package db_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// row is a row of the table probe, which each test that needs one creates for itself.
type row struct {
	N   int64
	ID  dbtype.ID
	Txt dbtype.Text
	Doc dbtype.JSON
	At  dbtype.Time
}

// withProbe runs a test on both databases with an empty table probe.
func withProbe(t *testing.T, run func(t *testing.T, d *db.DB)) {
	t.Helper()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		makeProbe(t, d)
		run(t, d)
	})
}

func makeProbe(t *testing.T, d *db.DB) {
	t.Helper()
	table := map[string]string{
		"postgres": `CREATE TABLE {probe} (n bigint, id uuid, txt text, doc jsonb, at timestamptz)`,
		"sqlite":   `CREATE TABLE {probe} (n integer, id blob, txt text, doc text, at integer)`,
	}
	mustExec(t, d, table[d.Backend()], nil)
}

// mustExec runs one statement in a transaction of its own.
func mustExec(t *testing.T, d *db.DB, statement string, args db.Args) int64 {
	t.Helper()
	var n int64
	err := d.Transaction(t.Context(), func(tx db.Tx) (err error) {
		n, err = tx.Exec(statement, args)
		return err
	})
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	return n
}

// rows reads the table probe.
func rows(t *testing.T, d *db.DB) []row {
	t.Helper()
	var out []row
	err := d.Query(t.Context(), `SELECT n, id, txt, doc, at FROM {probe} ORDER BY n`, nil,
		func(scan db.Scan) error {
			var r row
			out = append(out, r)
			last := &out[len(out)-1]
			return scan(&last.N, &last.ID, &last.Txt, &last.Doc, &last.At)
		})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// count returns the number that a query finds.
func count(t *testing.T, d *db.DB, statement string, args db.Args) int64 {
	t.Helper()
	var n int64
	err := d.Query(t.Context(), statement, args, func(scan db.Scan) error { return scan(&n) })
	if err != nil {
		t.Fatal(err)
	}
	return n
}
