//go:build unix

package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// inspect checks a tenant's file before it is opened for writing, because opening it that way would change a file of
// another program. It returns the reason if the file can only be read.
func (l *sqlite) inspect(ctx context.Context, tenant string, create bool) (readOnly, err error) {
	path := l.file(tenant)
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist) && tenant != DefaultTenant:
		return nil, &TenantNotFoundError{tenant, "there is no file " + path}
	case errors.Is(err, os.ErrNotExist) && !create:
		return nil, fmt.Errorf("%w: %s", ErrFileNotFound, path)
	case errors.Is(err, os.ErrNotExist):
		return nil, l.checkFileSystem(filepath.Dir(path))
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	case info.IsDir():
		return nil, fmt.Errorf("%w: %s is a directory", ErrCorrupt, path)
	}
	if err := l.checkPlace(path, info); err != nil {
		return nil, err
	}
	options := url.Values{"mode": {"rw"}}
	if readOnly = readOnlyReason(path); readOnly != nil {
		options = readOnlyOptions(path)
	}
	return readOnly, l.checkOwn(ctx, tenant, options)
}

// checkOwn refuses a file that holds another program's tables. An empty file, and one in which a first migration has
// only begun, belongs to this program.
func (l *sqlite) checkOwn(ctx context.Context, tenant string, options url.Values) (err error) {
	s := l.sqlOpenPlain(tenant, options)
	defer func() { err = errors.Join(err, s.Close()) }()
	found, err := countTables(ctx, s)
	switch {
	case err != nil:
		return fmt.Errorf("open %s: %w", l.file(tenant), err)
	case found.ours < 2 && found.others > 0:
		return fmt.Errorf("%w: %s holds the tables of another program", ErrForeignSchema, l.file(tenant))
	case found.erased() && tenant != DefaultTenant:
		return &TenantNotFoundError{tenant, "its drop was interrupted: drop or create it again"}
	}
	return nil
}

// tables counts the tables of a file.
type tables struct {
	ours    int // tables that identify the file as this program's: at most 2
	others  int
	workers int
}

// erased reports that a drop has begun but has not removed the file.
func (t tables) erased() bool { return t.ours == 2 && t.workers == 0 }

func countTables(ctx context.Context, s *sql.DB) (t tables, err error) {
	err = s.QueryRowContext(ctx, `SELECT count(*) FILTER (WHERE name IN ('goose_db_version', 'pipeline_executions')),
		count(*) FILTER (WHERE name NOT IN ('goose_db_version', 'pipeline_executions') AND name NOT LIKE 'sqlite_%'),
		count(*) FILTER (WHERE name = 'workers')
		FROM sqlite_master WHERE type = 'table'`).Scan(&t.ours, &t.others, &t.workers)
	return t, err
}

// erased reports whether a tenant's file was erased by a drop, or no longer exists.
func (l *sqlite) erased(ctx context.Context, tenant string) (_ bool, err error) {
	if _, err := os.Stat(l.file(tenant)); errors.Is(err, os.ErrNotExist) {
		return true, nil
	}
	s := l.sqlOpenPlain(tenant, url.Values{"mode": {"rw"}})
	defer func() { err = errors.Join(err, s.Close()) }()
	found, err := countTables(ctx, s)
	return found.erased(), err
}

// readOnlyReason returns why a file cannot be written, or nil if it can. This user needs write access to the file and
// to the place of its log.
func readOnlyReason(path string) error {
	closed := unix.Access(path, unix.W_OK) != nil
	for _, beside := range []string{path + "-wal", path + "-shm"} {
		err := unix.Access(beside, unix.W_OK)
		if errors.Is(err, unix.ENOENT) {
			err = unix.Access(filepath.Dir(path), unix.W_OK)
		}
		closed = closed || err != nil
	}
	if !closed {
		return nil
	}
	return fmt.Errorf("%w: this user may not write %s, or not beside it", ErrReadOnly, path)
}

// readOnlyOptions returns the options to read a file beside a writer, if one has it open. Without a log there is no
// writer. Then the file is opened as immutable, so that SQLite creates nothing beside it, such as shared memory.
func readOnlyOptions(path string) url.Values {
	if _, err := os.Stat(path + "-wal"); errors.Is(err, os.ErrNotExist) {
		return url.Values{"mode": {"ro"}, "immutable": {"1"}}
	}
	return url.Values{"mode": {"ro"}}
}
