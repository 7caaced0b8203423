package db

import (
	"context"
	"errors"

	"github.com/mattn/go-sqlite3"
)

func (l *sqlite) retryable(err error) bool {
	var se sqlite3.Error
	return errors.As(err, &se) && (se.Code == sqlite3.ErrBusy || se.Code == sqlite3.ErrLocked)
}

// unreachable: the file can't be opened, or its disk fails.
func (l *sqlite) unreachable(err error) bool {
	var se sqlite3.Error
	if !errors.As(err, &se) {
		return false
	}
	switch se.Code {
	case sqlite3.ErrCantOpen, sqlite3.ErrPerm, sqlite3.ErrReadonly, sqlite3.ErrIoErr, sqlite3.ErrFull:
		return true
	}
	return false
}

func (l *sqlite) malformed(err error) bool {
	var se sqlite3.Error
	return errors.As(err, &se) && (se.Code == sqlite3.ErrNotADB || se.Code == sqlite3.ErrCorrupt)
}

func isSQLiteError(err error) bool {
	var se sqlite3.Error
	return errors.As(err, &se)
}

// readOnly: a file that can't be written is found out when it is opened, and a disk that has become so is unreachable.
func (l *sqlite) readOnly(error) bool { return false }

func (l *sqlite) reservedMade() int64 { return 0 }

func (l *sqlite) letGo(context.Context, error) {}

// refused: the data is too large, of the wrong kind, or against a constraint.
func (l *sqlite) refused(err error) bool {
	var se sqlite3.Error
	return errors.As(err, &se) && (se.Code == sqlite3.ErrTooBig || se.Code == sqlite3.ErrConstraint || se.Code == sqlite3.ErrMismatch)
}
