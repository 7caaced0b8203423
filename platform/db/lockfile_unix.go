//go:build unix

package db

import (
	"context"
	"errors"
	"os"
	"syscall"
)

// lockFile takes the lock of a file, waiting for whoever holds it, and returns what releases it.
// The file stays: removing it would let two processes hold a lock of the same name.
func lockFile(ctx context.Context, path string) (unlock func() error, err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for attempt := 1; ; attempt++ {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return f.Close, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return nil, errors.Join(err, f.Close())
		}
		if err := pause(ctx, attempt); err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
}
