package db

import (
	"context"
	"errors"

	"gorm.io/gorm"
)

func (l *sqlite) measure(ctx context.Context, _ string, read *gorm.DB) (Measure, error) {
	m := Measure{Settings: map[string]string{}}
	on := read.Statement.ConnPool
	var pages, size int64
	err := errors.Join(
		on.QueryRowContext(ctx, `SELECT sqlite_version()`).Scan(&m.Version),
		on.QueryRowContext(ctx, `PRAGMA page_count`).Scan(&pages), on.QueryRowContext(ctx, `PRAGMA page_size`).
			Scan(&size))
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
