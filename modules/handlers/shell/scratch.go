package shell

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	workerPrefix = "sluice-worker-"
	lockName     = "lock"
	// largestInMemory is the size in bytes up to which an attempt's input is stored on a file system in memory.
	largestInMemory = 256 << 10
	// minInMemory is the free space in bytes that a file system in memory must have to be used. Containers often
	// have one of 64 MB.
	minInMemory = 256 << 20
)

// scratch creates the attempts' directories. They are in a directory of this worker, which is created at the first
// attempt and locked with flock while the worker lives. Creating it removes the directories of dead workers, whose
// locks are free. A lock distinguishes a dead worker from a live one even where process ids do not, as between
// containers that share /tmp.
type scratch struct {
	mu    sync.Mutex
	roots map[string]*root // by parent directory
	next  int64
}

// root is a worker's directory.
type root struct {
	path string
	lock *os.File
}

// dir creates a directory for an attempt whose files need size bytes and returns its path.
func (s *scratch) dir(size int) (string, error) {
	var errs []error
	for _, base := range bases(size) {
		path, err := s.in(base)
		if err == nil {
			return path, nil
		}
		errs = append(errs, err)
	}
	return "", errors.Join(errs...)
}

// in creates an attempt's directory in the worker's directory below base.
func (s *scratch) in(base string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next++
	name := strconv.FormatInt(s.next, 10)
	if r := s.roots[base]; r != nil {
		path := filepath.Join(r.path, name)
		err := os.Mkdir(path, 0o700)
		if err == nil || !errors.Is(err, os.ErrNotExist) {
			return path, err
		}
		_ = r.lock.Close() // the directory has been removed
		delete(s.roots, base)
	}
	removeDead(base)
	r, err := newRoot(base)
	if err != nil {
		return "", err
	}
	if s.roots == nil {
		s.roots = map[string]*root{}
	}
	s.roots[base] = r
	path := filepath.Join(r.path, name)
	return path, os.Mkdir(path, 0o700)
}

// bases returns the directories to try, in order. It is only $TMPDIR if that is set. Otherwise file systems in memory
// come first for small inputs, because files are cheaper there.
func bases(size int) []string {
	if os.Getenv("TMPDIR") != "" || size > largestInMemory {
		return []string{os.TempDir()}
	}
	var list []string
	for _, dir := range []string{os.Getenv("XDG_RUNTIME_DIR"), "/dev/shm"} {
		if filepath.IsAbs(dir) && inMemory(dir) {
			list = append(list, dir)
		}
	}
	return append(list, os.TempDir())
}

// newRoot creates a worker's directory, locks it, and then renames it to the name that removeDead matches.
func newRoot(base string) (*root, error) {
	temporary, err := os.MkdirTemp(base, ".sluice-") // mode 0700
	if err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(temporary, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(temporary))
	}
	unique := strings.TrimPrefix(filepath.Base(temporary), ".sluice-")
	path := filepath.Join(base, workerPrefix+strconv.Itoa(os.Getpid())+"-"+unique)
	err = unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock the worker's directory: %w", err), lock.Close(),
			os.RemoveAll(temporary))
	}
	return &root{path, lock}, nil
}

// removeDead removes the directories in base that belong to dead workers of this user. It ignores errors, because a
// directory that cannot be removed is no reason to fail a task.
func removeDead(base string) {
	found, err := filepath.Glob(filepath.Join(base, workerPrefix+"*"))
	if err != nil {
		return
	}
	for _, path := range found {
		if info, err := os.Lstat(path); err != nil || !info.IsDir() || !own(info) {
			continue
		}
		lock, err := os.OpenFile(filepath.Join(path, lockName), os.O_RDWR|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
		if err != nil {
			continue
		}
		if unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			_ = os.RemoveAll(path)
		}
		_ = lock.Close()
	}
}

// own reports whether the file belongs to the user of this process.
func own(info os.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Geteuid()
}

// close removes the worker's directories. No attempt may be running.
func (s *scratch) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for base, r := range s.roots {
		errs = append(errs, os.RemoveAll(r.path), r.lock.Close())
		delete(s.roots, base)
	}
	return errors.Join(errs...)
}
