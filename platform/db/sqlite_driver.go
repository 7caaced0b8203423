package db

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"net/url"
)

// checkpointPages is the size of the write-ahead log at which SQLite copies it into the file: 40 MB instead of the
// default 4 MB. That costs no safety, because each commit is synced into the log, and saves a sixth of the time. A
// log that grew larger because of a long reader is truncated to logBytes when SQLite starts it from the beginning
// again.
const (
	checkpointPages = "10000"
	logBytes        = "41943040"
)

// sqliteConnector opens connections to one file. The driver is not registered under a name, because a program that
// imports this package may have registered its own.
type sqliteConnector struct {
	driver driver.Driver
	dsn    string
}

func (c sqliteConnector) Connect(context.Context) (driver.Conn, error) { return c.driver.Open(c.dsn) }
func (c sqliteConnector) Driver() driver.Driver                        { return c.driver }

// openSQLite returns a pool of connections to a file. The options are those of mattn/go-sqlite3, and parameters of
// SQLite's URI. It does not open the file yet.
func openSQLite(path string, options url.Values) *sql.DB {
	dsn := "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + sqliteOptions(options).Encode()
	return sql.OpenDB(sqliteConnector{sqliteDriver, dsn})
}

// Primary result codes of SQLite.
const (
	sqlitePerm       = 3
	sqliteBusy       = 5
	sqliteLocked     = 6
	sqliteReadOnly   = 8
	sqliteIOErr      = 10
	sqliteCorrupt    = 11
	sqliteFull       = 13
	sqliteCantOpen   = 14
	sqliteTooBig     = 18
	sqliteConstraint = 19
	sqliteMismatch   = 20
	sqliteNotADB     = 26
)
