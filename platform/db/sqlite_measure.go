package db

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"github.com/mattn/go-sqlite3"
	"gorm.io/gorm"
)

// drop removes a tenant's file with what SQLite and migrations keep beside it. The file goes first: whoever looks then finds no
// tenant, instead of one without its log.
func (l *sqlite) drop(_ context.Context, tenant string) error {
	var errs []error
	for _, beside := range []string{"", "-wal", "-shm", ".lock"} {
		if err := os.Remove(l.file(tenant) + beside); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (l *sqlite) measure(ctx context.Context, _ string, read *gorm.DB) (Measure, error) {
	m := Measure{Settings: map[string]string{}}
	m.Version, _, _ = sqlite3.Version()
	on := read.Statement.ConnPool
	var pages, size int64
	err := errors.Join(on.QueryRowContext(ctx, `PRAGMA page_count`).Scan(&pages), on.QueryRowContext(ctx, `PRAGMA page_size`).Scan(&size))
	if err != nil {
		return m, err
	}
	m.DataBytes = pages * size
	for _, name := range []string{"journal_mode", "synchronous", "wal_autocheckpoint", "cache_size"} {
		var value string
		if err := on.QueryRowContext(ctx, `PRAGMA `+name).Scan(&value); err != nil {
			return m, err
		}
		m.Settings[name] = value
	}
	return m, nil
}
