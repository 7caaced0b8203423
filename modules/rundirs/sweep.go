package rundirs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// batch is the number of runs looked up at once.
const batch = 500

// Sweep removes the directories of runs on this machine that the database no longer has, and of ended runs whose
// outputs retention has removed, because those cannot be retried. It continues after an error and returns the number
// of directories removed and all errors.
func (d *Dirs) Sweep(ctx context.Context) (removed int, err error) {
	runs, err := d.list()
	if err != nil {
		return 0, err
	}
	var errs []error
	for len(runs) > 0 && ctx.Err() == nil {
		n := min(batch, len(runs))
		kept, err := d.kept(ctx, runs[:n])
		if err != nil {
			return removed, errors.Join(append(errs, err)...)
		}
		for _, run := range runs[:n] {
			if kept[run] {
				continue
			}
			if err := removeAll(d.Path(run)); err != nil {
				errs = append(errs, fmt.Errorf("remove a run's directory: %w", err))
				continue
			}
			removed++
		}
		runs = runs[n:]
	}
	return removed, errors.Join(append(errs, ctx.Err())...)
}

// Count returns how many directories Sweep would remove.
func (d *Dirs) Count(ctx context.Context) (n int, err error) {
	runs, err := d.list()
	for len(runs) > 0 && err == nil {
		var kept map[dbtype.ID]bool
		part := runs[:min(batch, len(runs))]
		kept, err = d.kept(ctx, part)
		n += len(part) - len(kept)
		runs = runs[len(part):]
	}
	return n, err
}

// list returns the runs with a directory. A run's row is committed before its directory is created.
func (d *Dirs) list() ([]dbtype.ID, error) {
	entries, err := os.ReadDir(d.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list the runs' directories: %w", err)
	}
	var runs []dbtype.ID
	for _, e := range entries {
		if id, err := dbtype.ParseID(e.Name()); err == nil && e.IsDir() && id.String() == e.Name() {
			runs = append(runs, id)
		}
	}
	return runs, nil
}

// kept returns the runs whose directories must be kept.
func (d *Dirs) kept(ctx context.Context, runs []dbtype.ID) (map[dbtype.ID]bool, error) {
	kept := map[dbtype.ID]bool{}
	err := d.db.Query(ctx, `SELECT p.id FROM $x JOIN {pipeline_executions} AS p ON p.id = x.id
WHERE p.status NOT IN ('Completed', 'Failed', 'Cancelled') OR p.outputs_removed_at IS NULL
  OR p.outputs_removed_at < p.completed_at`,
		db.Args{"x": db.IDRows(runs)}, func(scan db.Scan) error {
			var id dbtype.ID
			err := scan(&id)
			kept[id] = true
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("look for the runs of the directories: %w", err)
	}
	return kept, nil
}

// removeAll removes a directory and its content, including directories that are not writable, such as those of Go's
// module cache.
func removeAll(dir string) error {
	if os.RemoveAll(dir) == nil {
		return nil
	}
	_ = filepath.WalkDir(dir, func(path string, e fs.DirEntry, _ error) error {
		if e != nil && e.IsDir() {
			_ = os.Chmod(path, 0o700) //nolint:gosec // a directory; RemoveAll reports what remains
		}
		return nil
	})
	return os.RemoveAll(dir)
}
