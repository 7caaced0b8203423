//go:build chaos

package chaos

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluiceworks/sluice/platform/db"
)

// TestMisbehavingHandlers checks that each misbehaviour is recorded correctly, and that the task after it runs.
func TestMisbehavingHandlers(t *testing.T) {
	dir := scratch(t)
	server := startTestServer(t, dir)
	for _, part := range []map[string]string{
		{"poison-exit": "task_abandoned , then Completed"}, // by itself, because it takes the others' processes with it
		{
			"poison-panic":  "task_failed panic, then Completed",
			"poison-ignore": "task_failed timeout, then Completed",
			"poison-huge":   "task_failed invalid_output, then Completed",
			"poison-nul":    "task_failed invalid_output, then Completed",
			"poison-utf8":   "task_failed invalid_output, then Completed",
			"poison-garble": "task_failed error, then Completed",
		},
	} {
		c := small(dir)
		c.Open, c.Transitions, c.Strikes, c.Start = 0, 0, nil, slices.Collect(maps.Keys(part))
		got := map[string]string{}
		c.Check = func(ctx context.Context, d *db.DB) error { return misbehaved(ctx, d, got) }
		report, err := Run(t.Context(), c, server)
		check(t, c, report, err)
		if diff := cmp.Diff(part, got); diff != "" {
			t.Error("(-want +got)\n", diff)
		}
	}
}

// misbehaved collects how each poisoned pipeline ended.
func misbehaved(ctx context.Context, d *db.DB, got map[string]string) error {
	return d.Query(ctx, `SELECT p.pipeline_name, a.status, e.event_type, COALESCE(e.event_data->>'error_kind', '')
FROM {pipeline_executions} p
JOIN {task_executions} t ON t.pipeline_execution_id = p.id AND t.task_name = 'poison'
JOIN {task_executions} a ON a.pipeline_execution_id = p.id AND a.task_name = 'after'
JOIN {execution_events} e ON e.task_execution_id = t.id
  AND e.version = t.version`, nil, func(scan db.Scan) error {
		var name, after, last, kind string
		err := scan(&name, &after, &last, &kind)
		got[name] = last + " " + kind + ", then " + after
		return err
	})
}

// TestAThousandPredecessors checks that, when four processes end a thousand tasks concurrently, the task that needs
// all of them starts once.
func TestAThousandPredecessors(t *testing.T) {
	dir := scratch(t)
	c := small(dir)
	c.Open, c.Transitions, c.Strikes, c.Start = 0, 0, nil, []string{"thousand"}
	starts := 0
	c.Check = func(ctx context.Context, d *db.DB) (err error) {
		starts, err = count(ctx,
			d, `SELECT COUNT(*) FROM {execution_events} e JOIN {task_executions} t ON t.id = e.task_execution_id
WHERE t.task_name = 'join' AND e.event_type = 'task_started'`, nil)
		return err
	}
	report, err := Run(t.Context(), c, startTestServer(t, dir))
	check(t, c, report, err)
	if starts != 1 || report.Tasks != 1001 {
		t.Errorf("of %d tasks the join started %d times", report.Tasks, starts)
	}
}

func mountDisk(t *testing.T, dir string, size int64) string {
	t.Helper()
	disk := filepath.Join(dir, "disk")
	if err := os.Mkdir(disk, 0o755); err != nil {
		t.Fatal(err)
	}
	unmount, err := MountDisk(disk, size)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unmount(); err != nil {
			t.Error(err)
		}
	})
	return disk
}

func TestAFullDiskUnderPostgres(t *testing.T) {
	dir := scratch(t)
	c := small(dir)
	c.Disk = mountDisk(t, dir, 400<<20)
	c.Transitions, c.Poison, c.Strikes = 2000, 0, map[string]int{FullDisk: 3}
	report, err := Run(t.Context(), c, startTestServer(t, c.Disk, "max_wal_size=64MB"))
	check(t, c, report, err)
}

func TestAFullDiskUnderSQLite(t *testing.T) {
	dir := scratch(t)
	c := small(dir)
	c.Disk = mountDisk(t, dir, 400<<20)
	c.File = filepath.Join(c.Disk, "sluice.db")
	c.Transitions, c.Poison, c.Strikes = 2000, 0, map[string]int{FullDisk: 3}
	report, err := Run(t.Context(), c, nil)
	check(t, c, report, err)
}

// TestALogCutAtRandomLengths checks that what a crash left of SQLite's log is a beginning of what was committed, and
// that work continues from there.
func TestALogCutAtRandomLengths(t *testing.T) {
	dir := scratch(t)
	c := small(dir)
	c.Transitions, c.Strikes = 2000, map[string]int{"kill": 1}
	c.File, c.Brutal = filepath.Join(dir, "sluice.db"), true
	keep, err := openMigrated(t.Context(), "sqlite://"+c.File) // the last one to close a file would empty its log
	if err != nil {
		t.Fatal(err)
	}
	if _, err := count(t.Context(), keep, eventRows, nil); err != nil {
		t.Fatal(err)
	}
	_, err = Run(t.Context(), c, nil)
	log, imaging := takeImage(c.File)
	if err := errors.Join(err, imaging, keep.Close()); err != nil {
		t.Fatal(err)
	}
	cuts, err := cutLog(t.Context(), log, dir, 20)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d cuts: of %d events at least %d were left", cuts.Cuts, cuts.Whole, cuts.Fewest)
	for _, b := range cuts.Breaches {
		t.Error(b)
	}
	if cuts.Fewest == cuts.Whole {
		t.Error("no cut lost anything")
	}
	rounds, err := filepath.Glob(filepath.Join(dir, "round-*"))
	if err != nil || len(rounds) != 1 {
		t.Fatal(rounds, err)
	}
	c.Brutal, c.File, c.Before, c.Transitions, c.Strikes = false, cuts.Remaining, rounds[0], 1000, nil
	report, err := Run(t.Context(), c, nil)
	check(t, c, report, err)
}
