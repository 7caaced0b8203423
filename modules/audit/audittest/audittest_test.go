package audittest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// recorder replaces a test that is expected to fail, and records its messages.
type recorder struct {
	testing.TB
	said string
}

func (r *recorder) Errorf(format string, args ...any) { r.said += fmt.Sprintf(format, args...) }

func TestCheckFailsATestThatLeftABreach(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		clean := &recorder{TB: t}
		Check(clean, d)
		if clean.said != "" {
			t.Errorf("an empty database fails: %s", clean.said)
		}
		err := d.Transaction(t.Context(), func(tx db.Tx) error {
			_, err := tx.Exec(`INSERT INTO {task_outbox} (task_execution_id, available_at, created_at)
  VALUES ($id, $now, $now)`,
				db.Args{"id": dbtype.NewID(), "now": tx.Now})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		breached := &recorder{TB: t}
		Check(breached, d)
		if !strings.Contains(breached.said, "I4 claimable") {
			t.Errorf("said %q", breached.said)
		}
	})
}

func TestCheckFailsWhereItCannotLook(t *testing.T) {
	d := dbtest.SQLite(t)
	r := &recorder{TB: t}
	CheckTenant(db.WithTenant(t.Context(), "nobody"), r, d)
	if !strings.Contains(r.said, db.ErrTenantNotFound.Error()) {
		t.Errorf("said %q", r.said)
	}
}

func TestEachRunsOnBothAndVerifiesAfterwards(t *testing.T) {
	backends := make(chan string, 2)
	t.Run("both", func(t *testing.T) {
		Each(t, func(_ *testing.T, d *db.DB) { backends <- d.Backend() })
	})
	if a, b := <-backends, <-backends; a == b {
		t.Errorf("ran twice on %s", a)
	}
}
