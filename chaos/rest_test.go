//go:build chaos

package chaos

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluiceworks/sluice/platform/dbtype"
)

// TestWhatRestsIsSeen checks that a run that nobody works on counts as stuck when it is old enough.
func TestWhatRestsIsSeen(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d, err := openMigrated(ctx, "sqlite://"+filepath.Join(t.TempDir(), "sluice.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}()
	f, err := newFeeder(d, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.startNamed(ctx, []string{"chain"}); err != nil {
		t.Fatal(err)
	}
	for limit, want := range map[time.Duration]int{time.Hour: 0, -time.Second: 1} {
		if n, err := stuck(ctx, d, d.Now().Add(-limit)); n != want || err != nil {
			t.Errorf("%d are stuck after %s, %v; expected %d", n, limit, err, want)
		}
	}
	if n, err := stuck(ctx, d, time.Time{}); n != 0 || err != nil {
		t.Errorf("%d are stuck before any time, %v; expected none", n, err)
	}
	if _, breaches, err := executions(ctx, d, f.confirmed); len(breaches) != 0 || err != nil {
		t.Error(breaches, err)
	}
	if _, breaches, err := executions(ctx, d, append(f.confirmed, dbtype.NewID())); len(breaches) != 1 || err != nil {
		t.Error("a run that is not there: ", breaches, err)
	}
	left, err := remains(ctx, d)
	if err != nil || len(left) != 1 || !strings.Contains(left[0], `task t0`) || !strings.Contains(left[0], `"Ready"`) {
		t.Errorf("what remains: %v, %v", left, err)
	}
}
