package db

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/pressly/goose/v3"
	"gorm.io/gorm"
)

// migrateUp applies the missing steps, each in a transaction.
func migrateUp(ctx context.Context, conn *sql.DB, steps fs.FS, dialect string) error {
	dir, err := fs.Sub(steps, dialect)
	if err != nil {
		return err
	}
	gooseDialect := goose.DialectPostgres
	if dialect == sqliteName {
		gooseDialect = goose.DialectSQLite3
	}
	p, err := goose.NewProvider(gooseDialect, conn, dir, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	_, err = p.Up(ctx)
	return err
}

// newestOf returns the number of the last step.
func newestOf(steps fs.FS, dialect string) int64 {
	files, err := fs.Glob(steps, dialect+"/*.sql")
	if err != nil || len(files) == 0 {
		panic("no migrations are embedded for " + dialect)
	}
	number, _, _ := strings.Cut(strings.TrimPrefix(files[len(files)-1], dialect+"/"), "_")
	v, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		panic("a migration's name starts with no number: " + files[len(files)-1])
	}
	return v
}

// readVersion returns the number of the last applied step, or 0 if there is no table of steps. missing is the
// SQLSTATE, or a part of the text, of the error for a missing table.
func readVersion(read *gorm.DB, missing string) (int64, error) {
	var v sql.NullInt64
	table := read.NamingStrategy.TableName("goose_db_version")
	err := read.Table(table).Select("max(version_id)").Where("is_applied").Scan(&v).Error
	if err != nil && (sqlState(err) == missing || strings.Contains(err.Error(), missing)) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read migrations: %w", err)
	}
	return v.Int64, nil
}
