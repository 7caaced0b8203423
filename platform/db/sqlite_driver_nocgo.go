//go:build !cgo

package db

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"

	modernc "modernc.org/sqlite"
)

// sqliteDriver is SQLite translated to Go, for programs that are built without a C compiler.
var sqliteDriver driver.Driver = &modernc.Driver{}

// sqliteOptions writes options for which this driver has no key as pragmas.
func sqliteOptions(options url.Values) url.Values {
	options.Add("_pragma", "wal_autocheckpoint("+checkpointPages+")")
	options.Add("_pragma", "journal_size_limit("+logBytes+")")
	if size := options.Get("_cache_size"); size != "" {
		options.Del("_cache_size")
		options.Add("_pragma", "cache_size("+size+")")
	}
	return options
}

// sqliteCode returns the primary result code of an error, or 0 if it is not an error of SQLite.
func sqliteCode(err error) int {
	var e *modernc.Error
	if !errors.As(err, &e) {
		return 0
	}
	return e.Code() & 0xff // the other bits belong to the extended code
}

// persistLog makes a connection leave the log's file alone when it is closed.
func persistLog(conn any) error {
	c, ok := conn.(modernc.FileControl)
	if !ok {
		return fmt.Errorf("expected a connection of SQLite, not %T", conn)
	}
	_, err := c.FileControlPersistWAL("main", 1)
	return err
}
