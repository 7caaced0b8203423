//go:build cgo

package db

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"

	"github.com/mattn/go-sqlite3"
)

// sqliteDriver is SQLite's own C code.
var sqliteDriver driver.Driver = &sqlite3.SQLiteDriver{ConnectHook: func(c *sqlite3.SQLiteConn) error {
	_, err := c.Exec("PRAGMA wal_autocheckpoint = "+checkpointPages+"; PRAGMA journal_size_limit = "+logBytes, nil)
	return err
}}

// sqliteOptions adds the options that only this driver has.
func sqliteOptions(options url.Values) url.Values {
	options.Set("_stmt_cache_size", "256")
	options.Set("_mutex", "no") // database/sql uses a connection from one goroutine at a time
	return options
}

// sqliteCode returns the primary result code of an error, or 0 if it is not an error of SQLite.
func sqliteCode(err error) int {
	var e sqlite3.Error
	if !errors.As(err, &e) {
		return 0
	}
	return int(e.Code)
}

// persistLog makes a connection leave the log's file alone when it is closed.
func persistLog(conn any) error {
	const persistWAL = 10 // SQLITE_FCNTL_PERSIST_WAL
	c, ok := conn.(*sqlite3.SQLiteConn)
	if !ok {
		return fmt.Errorf("expected a connection of SQLite, not %T", conn)
	}
	return c.SetFileControlInt("main", persistWAL, 1)
}
