package db_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
)

// TestMeasure checks that written data counts in the bytes of its own tenant only, and that each commit counts once.
func TestMeasure(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		acme := db.WithTenant(t.Context(), "acme")
		if err := d.CreateTenant(acme); err != nil {
			t.Fatal(err)
		}
		other, err := d.Measure(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		before, err := d.Measure(acme)
		if err != nil {
			t.Fatal(err)
		}
		commits := d.Committed()
		const transactions = 5
		for i := range transactions {
			err := d.Transaction(acme, func(tx db.Tx) error {
				for j := range 200 {
					if _, err := tx.Exec(insertWorker,
						db.Args{
							"id":  fmt.Sprintf("%d %d %s", i, j, strings.Repeat("x", 200)),
							"now": tx.Now,
						}); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		refused := errors.New("rolled back")
		if err := d.Transaction(acme, func(db.Tx) error { return refused }); !errors.Is(err, refused) {
			t.Error(err)
		}
		if n := d.Committed() - commits; n != transactions {
			t.Errorf("%d transactions were committed, expected %d", n, transactions)
		}
		after, err := d.Measure(acme)
		if err != nil {
			t.Fatal(err)
		}
		if grown := after.DataBytes - before.DataBytes; grown < 200_000 || grown > 4_000_000 {
			t.Errorf("the tenant has grown by %d bytes", grown)
		}
		if again, err := d.Measure(t.Context()); err != nil || again.DataBytes != other.DataBytes {
			t.Errorf("another tenant has %d bytes, and had %d: %v", again.DataBytes, other.DataBytes, err)
		}
		logged, onServer := after.WALBytes-before.WALBytes, d.Backend() == "postgres"
		if onServer != (logged > 200_000) || onServer != (after.ServerPID > 0) || after.Version == "" ||
			len(after.Settings) == 0 {
			t.Errorf("%d bytes of log; %+v", logged, after)
		}
	})
}
