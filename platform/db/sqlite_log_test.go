package db_test

import (
	"database/sql"
	"os"
	"strings"
	"testing"

	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
)

// TestLogShrinks checks that SQLite's log grows while there is a reader, and that writes after the reader's end bring
// it back to its bound.
func TestLogShrinks(t *testing.T) {
	t.Parallel()
	const bound, one = 40 << 20, 4 << 20
	url := dbtest.SQLiteURL(t)
	d, path := dbtest.Open(t, url), strings.TrimPrefix(url, "sqlite://")
	log := func() int64 {
		info, err := os.Stat(path + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	write := func() {
		mustExec(t, d, `INSERT INTO {chores} (name) VALUES (hex(randomblob(8)) || hex(zeroblob($n)))`,
			db.Args{"n": one / 2})
	}
	reader, err := sql.Open("sqlite3", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reader.Close() }()
	tx, err := reader.Begin()
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if err := tx.QueryRow(`SELECT count(*) FROM workers`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	for log() <= bound+2*one {
		write()
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		write()
	}
	if size := log(); size > bound+one {
		t.Errorf("the log has %d MiB after the reader has gone, expected at most %d", size>>20, bound>>20)
	}
}
