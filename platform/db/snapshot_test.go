package db_test

import (
	"context"
	"errors"
	"testing"

	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// TestSnapshotSeesOneMoment checks that a transaction can commit during a snapshot, and that the snapshot does not
// see it.
func TestSnapshotSeesOneMoment(t *testing.T) {
	t.Parallel()
	withProbe(t, func(t *testing.T, d *db.DB) {
		mustExec(t, d, insertOne, db.Args{"n": 1, "at": dbtype.Time{}})
		err := d.Snapshot(t.Context(), func(ctx context.Context) error {
			before := countIn(ctx, t, d)
			mustExec(t, d, insertOne, db.Args{"n": 2, "at": dbtype.Time{}}) // would never return if it were blocked
			if after := countIn(ctx, t, d); before != 1 || after != before {
				t.Errorf("the snapshot saw %d rows, then %d, expected 1 both times", before, after)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if n := len(rows(t, d)); n != 2 {
			t.Errorf("after the snapshot there are %d rows, expected 2", n)
		}
	})
}

// countIn counts the rows by a statement and by GORM, in that order.
func countIn(ctx context.Context, t *testing.T, d *db.DB) (n int64) {
	t.Helper()
	var again int64
	err := d.Query(ctx, `SELECT count(*) FROM {probe}`, nil, func(scan db.Scan) error { return scan(&n) })
	q, failed := d.Read(ctx, "probe")
	if err = errors.Join(err, failed); err == nil {
		err = q.Count(&again).Error
	}
	if err != nil || again != n {
		t.Fatalf("%d rows, then %d: %v", n, again, err)
	}
	return n
}

// TestReadsOfATransaction checks that reads with the context of a transaction see what it has written, and others do
// not, and that a snapshot within another one is the same.
func TestReadsOfATransaction(t *testing.T) {
	t.Parallel()
	withProbe(t, func(t *testing.T, d *db.DB) {
		err := d.Transaction(t.Context(), func(tx db.Tx) error {
			if _, err := tx.Exec(`INSERT INTO {probe} (n) VALUES (1)`, nil); err != nil {
				return err
			}
			in, out := countIn(tx.Context(), t, d), countIn(t.Context(), t, d)
			if in != 1 || out != 0 {
				t.Errorf("the transaction saw %d rows, others %d, expected 1 and 0", in, out)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		err = d.Snapshot(t.Context(), func(ctx context.Context) error {
			before := countIn(ctx, t, d)
			mustExec(t, d, insertOne, db.Args{"n": 2, "at": dbtype.Time{}})
			return d.Snapshot(ctx, func(ctx context.Context) error {
				if after := countIn(ctx, t, d); after != before {
					t.Errorf("the inner snapshot saw %d rows, the outer one %d", after, before)
				}
				return nil
			})
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func TestSnapshotOnlyReads(t *testing.T) {
	t.Parallel()
	withProbe(t, func(t *testing.T, d *db.DB) {
		err := d.Snapshot(t.Context(), func(ctx context.Context) error {
			g, err := d.Handle(ctx)
			if err != nil {
				t.Fatal(err)
			}
			return g.Exec(`INSERT INTO ` + g.NamingStrategy.TableName("probe") + ` (n) VALUES (1)`).Error
		})
		if err == nil || len(rows(t, d)) > 0 {
			t.Errorf("a snapshot wrote: %v", err)
		}
		stop := errors.New("stop")
		if err := d.Snapshot(t.Context(), func(context.Context) error { return stop }); !errors.Is(err, stop) {
			t.Errorf("Snapshot gave %v, expected its function's error", err)
		}
		mustExec(t, d, insertOne, db.Args{"n": 1, "at": dbtype.Time{}})
	})
}
