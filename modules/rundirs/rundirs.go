// Package rundirs keeps the directories of runs on this machine: one a run, made when a task first needs it, shared by the run's tasks
// here, and removed when the database no longer keeps what the run left. It copies nothing between machines.
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
)

// Store is the directory that holds those of the runs of all databases that this machine works for.
type Store struct{ base string }

// New makes a store in dir; empty: in DefaultBase. Nothing is created yet. The error is that of a working directory that is gone.
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

// DefaultBase is $XDG_STATE_HOME/sluice/runs, else ~/.local/state/sluice/runs, and for a user without a home that can be written to a
// directory of the user's own in $TMPDIR.
func DefaultBase() string {
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "sluice", "runs")
	}
	if home, err := os.UserHomeDir(); err == nil && filepath.IsAbs(home) && unix.Access(home, unix.W_OK) == nil {
		return filepath.Join(home, ".local", "state", "sluice", "runs")
	}
	return filepath.Join(os.TempDir(), "sluice-runs-"+strconv.Itoa(os.Geteuid()))
}

// Of opens the directories of the runs in the context's tenant of a database. Those of another database, or tenant, lie elsewhere.
func (s *Store) Of(ctx context.Context, d *db.DB) (*Dirs, error) {
	name, err := d.Identity(ctx)
	if err != nil {
		return nil, err
	}
	return &Dirs{db: d, base: s.base, dir: filepath.Join(s.base, name)}, nil
}

// Dirs are the directories of the runs of one tenant. They are safe for concurrent use, by several processes too.
type Dirs struct {
	db        *db.DB
	base, dir string
}

// Path is a run's directory, which need not exist.
func (d *Dirs) Path(run db.ID) string { return filepath.Join(d.dir, run.String()) }

// Make makes a run's directory if it is not there, open to this process's user alone. It refuses one below a directory that another
// user could exchange.
func (d *Dirs) Make(run db.ID) error {
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

// trusted refuses a directory that is another user's, and a link that takes its place. The outermost may be root's.
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
