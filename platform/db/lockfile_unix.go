//go:build unix

package db

import (
	"context"
	"errors"
	"os"
	"syscall"
)

const lockSuffix = ".lock"

// lockFile takes the lock of a file, waiting for whoever holds it, and returns what releases it. Only who holds the lock may remove
// the file: the others notice, and lock the new one.
func lockFile(ctx context.Context, path string) (unlock func() error, err error) {
	f, err := openLock(path)
	if err != nil {
		return nil, err
	}
	for attempt := 1; ; attempt++ {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil && named(f, path) {
			return f.Close, nil
		}
		if err == nil { // it was removed before this had it
			old := f
			if f, err = openLock(path); err != nil {
				return nil, errors.Join(err, old.Close())
			}
			if err := old.Close(); err != nil {
				return nil, errors.Join(err, f.Close())
			}
			continue
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return nil, errors.Join(err, f.Close())
		}
		if err := pause(ctx, attempt); err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
}

func openLock(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
}

// named reports whether an open file is still the one of that name.
func named(f *os.File, path string) bool {
	open, err := f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(path)
	return err == nil && os.SameFile(open, there)
}
