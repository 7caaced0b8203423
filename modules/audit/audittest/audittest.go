// Package audittest verifies the database at the end of tests. A test that leaves a breach of an invariant fails,
// whatever else it checked.
package audittest

import (
	"context"
	"testing"

	"github.com/sluiceworks/sluice/modules/audit"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
)

// Each runs a test on both databases, as dbtest.Each does, and verifies the default tenant at the end of each.
func Each(t *testing.T, run func(t *testing.T, d *db.DB)) {
	t.Helper()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		// A cleanup runs even after t.Fatal. Because this one is registered first, it runs after the test's own, when
		// the workers have stopped.
		t.Cleanup(func() { Check(t, d) })
		run(t, d)
	})
}

// Check verifies the default tenant, and fails the test with the full report if there is a breach.
func Check(t testing.TB, d *db.DB) {
	t.Helper()
	CheckTenant(context.Background(), t, d)
}

// CheckTenant verifies the context's tenant, and fails the test with the full report if there is a breach.
func CheckTenant(ctx context.Context, t testing.TB, d *db.DB) {
	t.Helper()
	report, err := audit.New(d).Verify(ctx, audit.Options{})
	switch {
	case err != nil:
		t.Errorf("verify tenant %s: %v", db.TenantOf(ctx), err)
	case !report.OK():
		t.Errorf("verify tenant %s:\n%s", db.TenantOf(ctx), report)
	}
}
