package db

import (
	"context"
	"errors"
	"fmt"
)

// wrap marks errors of the connection as ErrUnavailable and errors of the data as ErrDataRejected. It leaves a canceled
// context alone, because canceling breaks the connection too, and is not a fault of the database.
func (d *DB) wrap(err error) error {
	switch {
	case err == nil, errors.Is(err, ErrUnavailable), errors.Is(err, ErrDataRejected), errors.Is(err, ErrCorrupt),
		errors.Is(err, ErrReadOnly),
		errors.Is(err, context.Canceled):
		return err
	case d.backend.readOnly(err):
		return fmt.Errorf("%w: %w", ErrReadOnly, err)
	case d.backend.isCorrupt(err):
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	case d.backend.unreachable(err):
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	case d.backend.isDataError(err):
		return fmt.Errorf("%w: %w", ErrDataRejected, err)
	}
	return err
}

// Away reports whether an error means that the database currently accepts no writes at all: it is unreachable,
// read-only, or did not answer a commit.
func Away(err error) bool {
	return errors.Is(err, ErrUnavailable) || errors.Is(err, ErrReadOnly) || errors.Is(err, ErrCommitUnknown)
}

// IsUnhealthy reports whether an error concerns the database and its state, and not the request: the database is
// unreachable, read-only, locked, out of time, or denies a right or a table that it had before. The same request may
// succeed later. IsUnhealthy is false for errors of the data (ErrDataRejected) and for the program's own errors.
func IsUnhealthy(err error) bool {
	switch {
	case err == nil, errors.Is(err, ErrDataRejected):
		return false
	case Away(err), errors.Is(err, ErrCorrupt):
		return true
	}
	return sqlState(err) != "" || isSQLiteError(err)
}
