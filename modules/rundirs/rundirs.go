// Package rundirs manages the directories of runs on this machine. Each run has at most one. It is created when a
// task first needs it, shared by the run's tasks on this machine, and removed when the database no longer keeps the
// run's outputs. Nothing is copied between machines.
package rundirs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// Store is the directory that contains the runs' directories of all databases that this machine works for.
type Store struct{ base string }

// New returns a Store in dir, or in DefaultBase if dir is empty. It creates nothing yet. It fails if dir is relative
// and the working directory cannot be determined.
func New(dir string) (*Store, error) {
	if dir == "" {
		dir = DefaultBase()
	}
	base, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("directory of the runs' directories: %w", err)
	}
	return &Store{base}, nil
}

// DefaultBase returns $XDG_STATE_HOME/sluice/runs, else ~/.local/state/sluice/runs, or a directory of the user in
// $TMPDIR if the home directory is not writable.
func DefaultBase() string {
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "sluice", "runs")
	}
	if home, err := os.UserHomeDir(); err == nil && filepath.IsAbs(home) && unix.Access(home, unix.W_OK) == nil {
		return filepath.Join(home, ".local", "state", "sluice", "runs")
	}
	return filepath.Join(os.TempDir(), "sluice-runs-"+strconv.Itoa(os.Geteuid()))
}

// Of returns the directories of the runs of the context's tenant in a database. Other databases and tenants have
// separate directories.
func (s *Store) Of(ctx context.Context, d *db.DB) (*Dirs, error) {
	name, err := d.Identity(ctx)
	if err != nil {
		return nil, err
	}
	return &Dirs{db: d, base: s.base, dir: filepath.Join(s.base, name)}, nil
}

// Dirs is the directories of the runs of one tenant. It is safe for concurrent use, also by several processes.
type Dirs struct {
	db        *db.DB
	base, dir string
}

// Path returns a run's directory, which need not exist.
func (d *Dirs) Path(run dbtype.ID) string { return filepath.Join(d.dir, run.String()) }

// Make creates a run's directory, accessible only to this process's user, unless it exists. It fails if another user
// could replace the directory or one above it within the store.
func (d *Dirs) Make(run dbtype.ID) error {
	path := d.Path(run)
	err := os.Mkdir(path, 0o700)
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.MkdirAll(d.dir, 0o700); err == nil {
			err = os.Mkdir(path, 0o700)
		}
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make the run's directory: %w", err)
	}
	for _, dir := range []string{d.base, d.dir, path} {
		if err := trusted(dir, dir == d.base); err != nil {
			return fmt.Errorf("the run's directory cannot be used: %w", err)
		}
	}
	return nil
}

// trusted returns an error for a directory of another user and for a symbolic link. The outermost may be a link and
// may belong to root.
func trusted(dir string, outermost bool) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if outermost && info.Mode()&fs.ModeSymlink != 0 {
		if info, err = os.Stat(dir); err != nil {
			return err
		}
	}
	owner, known := ownerOf(info)
	switch {
	case !info.IsDir():
		return fmt.Errorf("%s is not a directory", dir)
	case known && owner != os.Geteuid() && (!outermost || owner != 0):
		return fmt.Errorf("%s belongs to another user (uid %d)", dir, owner)
	}
	return nil
}

func ownerOf(info fs.FileInfo) (uid int, known bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return int(stat.Uid), true
}
