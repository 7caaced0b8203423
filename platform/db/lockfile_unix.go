//go:build unix

package db

import (
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"
)

const lockSuffix = ".lock"

// lockFile waits for the lock of a file, and returns a function that releases it. Only the holder may remove the
// file. Waiting processes then detect that, and lock the new file.
func lockFile(ctx context.Context, path string) (unlock func() error, err error) {
	f, err := openLock(path)
	if err != nil {
		return nil, err
	}
	stop := reportWait(ctx, func() string { return lockHolder(path) })
	defer stop()
	for attempt := 1; ; attempt++ {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil && named(f, path) {
			writePID(f)
			return f.Close, nil
		}
		if err == nil { // it was removed before this process got the lock
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

// named reports whether path still leads to an open file.
func named(f *os.File, path string) bool {
	open, err := f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(path)
	return err == nil && os.SameFile(open, there)
}

// writePID writes this process's id into the lock's file, for the messages of waiting processes. It is only a hint.
func writePID(f *os.File) {
	if err := f.Truncate(0); err == nil {
		_, _ = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
}

// lockHolder describes the process whose id is in the lock's file.
func lockHolder(path string) string {
	content, err := os.ReadFile(path)
	pid := strings.TrimSpace(string(content))
	if _, bad := strconv.Atoi(pid); err != nil || bad != nil {
		return "the lock " + path
	}
	return "the lock " + path + " (process " + pid + ")"
}
