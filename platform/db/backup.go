package db

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
)

// ErrNoBackup is returned by databases that have their own tools for copies.
var ErrNoBackup = errors.New("only a SQLite database is copied into a file")

// ErrFileExists is returned for a path that exists, because a copy never overwrites a file.
var ErrFileExists = errors.New("the file exists")

// Backup writes a copy of the context's tenant, as of one moment, into a new file that only its owner may read.
// Others may read and write the database during the copy. The copy is complete in one file: it has no log. On
// PostgreSQL Backup returns ErrNoBackup.
func (d *DB) Backup(ctx context.Context, path string) error {
	t, err := d.tenant(ctx)
	if err != nil {
		return err
	}
	if err := d.backend.checkFile(t.name, t.handles); err != nil {
		return err
	}
	return d.wrap(d.backend.backup(ctx, t.name, t.readOnly != nil, path))
}

func (p *postgres) backup(context.Context, string, bool, string) error { return ErrNoBackup }

func (l *sqlite) backup(ctx context.Context, tenant string, readOnly bool, path string) (err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w: %s", ErrFileExists, path)
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(path))
		}
	}()
	options := url.Values{"mode": {"rw"}}
	if readOnly {
		options = readOnlyOptions(l.file(tenant))
	}
	s := l.sqlOpenPlain(tenant, options)
	defer func() { err = errors.Join(err, s.Close()) }()
	if _, err := s.ExecContext(ctx, `VACUUM INTO ?`, path); err != nil {
		return fmt.Errorf("copy the database: %w", err)
	}
	if err := checkIntegrity(ctx, path); err != nil {
		return err
	}
	return syncFile(path)
}

// checkIntegrity makes SQLite check a file's structure.
func checkIntegrity(ctx context.Context, path string) (err error) {
	s := openSQLite(path, url.Values{"mode": {"ro"}, "immutable": {"1"}})
	defer func() { err = errors.Join(err, s.Close()) }()
	var found string
	if err := s.QueryRowContext(ctx, `PRAGMA integrity_check(1)`).Scan(&found); err != nil {
		return fmt.Errorf("check the copy: %w", err)
	}
	if found != "ok" {
		return fmt.Errorf("%w: %s", ErrCorrupt, found)
	}
	return nil
}

func syncFile(path string) (err error) {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return f.Sync()
}
