package db

import (
	"context"
	"slices"
)

func (l *sqlite) retryable(err error) bool {
	return slices.Contains([]int{sqliteBusy, sqliteLocked}, sqliteCode(err))
}

// unreachable reports that the file cannot be opened, or that its disk fails.
func (l *sqlite) unreachable(err error) bool {
	return slices.Contains([]int{sqliteCantOpen, sqlitePerm, sqliteReadOnly, sqliteIOErr, sqliteFull}, sqliteCode(err))
}

func (l *sqlite) isCorrupt(err error) bool {
	return slices.Contains([]int{sqliteNotADB, sqliteCorrupt}, sqliteCode(err))
}

func isSQLiteError(err error) bool { return sqliteCode(err) != 0 }

// readOnly returns false: a file that cannot be written is detected when it is opened, and a disk that becomes
// read-only counts as unreachable.
func (l *sqlite) readOnly(error) bool { return false }

func (l *sqlite) reservedMade() int64 { return 0 }

func (l *sqlite) letGo(context.Context, error) {}

// isDataError reports data that is too large, of the wrong type, or violates a constraint.
func (l *sqlite) isDataError(err error) bool {
	return slices.Contains([]int{sqliteTooBig, sqliteConstraint, sqliteMismatch}, sqliteCode(err))
}
