package db_test

import (
	"errors"
	"testing"

	"gorm.io/gorm"

	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// TestSnapshotSeesOneMoment checks that a transaction can commit during a snapshot, and that the snapshot does not
// see it.
func TestSnapshotSeesOneMoment(t *testing.T) {
	t.Parallel()
	withProbe(t, func(t *testing.T, d *db.DB) {
		mustExec(t, d, insertOne, db.Args{"n": 1, "at": dbtype.Time{}})
		err := d.Snapshot(t.Context(), func(g *gorm.DB) error {
			before := countIn(t, g)
			mustExec(t, d, insertOne, db.Args{"n": 2, "at": dbtype.Time{}}) // would never return if it were blocked
			if after := countIn(t, g); before != 1 || after != before {
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

func countIn(t *testing.T, g *gorm.DB) (n int64) {
	t.Helper()
	if err := g.Table(g.NamingStrategy.TableName("probe")).Count(&n).Error; err != nil {
		t.Fatal(err)
	}
	return n
}

func TestSnapshotOnlyReads(t *testing.T) {
	t.Parallel()
	withProbe(t, func(t *testing.T, d *db.DB) {
		err := d.Snapshot(t.Context(), func(g *gorm.DB) error {
			return g.Exec(`INSERT INTO ` + g.NamingStrategy.TableName("probe") + ` (n) VALUES (1)`).Error
		})
		if err == nil || len(rows(t, d)) > 0 {
			t.Errorf("a snapshot wrote: %v", err)
		}
		stop := errors.New("stop")
		if err := d.Snapshot(t.Context(), func(*gorm.DB) error { return stop }); !errors.Is(err, stop) {
			t.Errorf("Snapshot gave %v, expected its function's error", err)
		}
		mustExec(t, d, insertOne, db.Args{"n": 1, "at": dbtype.Time{}})
	})
}
