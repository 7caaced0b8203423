//go:build unix

package db

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

func (l *sqlite) openTransactions(context.Context, string, string) (OpenTransactions, error) {
	return OpenTransactions{Blocking: []Session{}, OldestSnapshot: []Session{}}, nil
}

func (l *sqlite) storage(_ context.Context, tenant, _ string) (s Storage, err error) {
	log, err := os.Stat(l.file(tenant) + "-wal")
	switch {
	case err == nil:
		s.WALBytes = log.Size()
	case !errors.Is(err, os.ErrNotExist):
		return s, err
	}
	var disk unix.Statfs_t
	if err := unix.Statfs(filepath.Dir(l.file(tenant)), &disk); err != nil {
		return s, err
	}
	s.Free = int64(disk.Bavail) * int64(disk.Bsize) //nolint:unconvert // the types differ between systems
	return s, nil
}
