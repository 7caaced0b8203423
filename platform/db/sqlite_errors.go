package db

import (
	"context"
	"slices"
)

func (l *sqlite) retryable(err error) bool {
	return slices.Contains([]int{sqliteBusy, sqliteLocked}, sqliteCode(err))
}

// unreachable: the file can't be opened, or its disk fails.
func (l *sqlite) unreachable(err error) bool {
	return slices.Contains([]int{sqliteCantOpen, sqlitePerm, sqliteReadOnly, sqliteIOErr, sqliteFull}, sqliteCode(err))
}

func (l *sqlite) malformed(err error) bool {
	return slices.Contains([]int{sqliteNotADB, sqliteCorrupt}, sqliteCode(err))
}

func isSQLiteError(err error) bool { return sqliteCode(err) != 0 }

// readOnly: a file that can't be written is found out when it is opened, and a disk that has become so is unreachable.
func (l *sqlite) readOnly(error) bool { return false }

func (l *sqlite) reservedMade() int64 { return 0 }

func (l *sqlite) letGo(context.Context, error) {}

// refused: the data is too large, of the wrong kind, or against a constraint.
func (l *sqlite) refused(err error) bool {
	return slices.Contains([]int{sqliteTooBig, sqliteConstraint, sqliteMismatch}, sqliteCode(err))
}
