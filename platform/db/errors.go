package db

import (
	"context"
	"errors"
	"fmt"
)

// wrap marks errors of the connection as ErrUnavailable and those of the data as ErrRefused. A caller who cancels breaks the
// connection too, and that is no fault of the database.
func (d *DB) wrap(err error) error {
	switch {
	case err == nil, errors.Is(err, ErrUnavailable), errors.Is(err, ErrRefused), errors.Is(err, ErrMalformed), errors.Is(err, ErrReadOnly),
		errors.Is(err, context.Canceled):
		return err
	case d.backend.readOnly(err):
		return fmt.Errorf("%w: %w", ErrReadOnly, err)
	case d.backend.malformed(err):
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	case d.backend.unreachable(err):
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	case d.backend.refused(err):
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return err
}

// Away reports whether an error means that the database takes nothing at all just now, whatever it is asked.
func Away(err error) bool {
	return errors.Is(err, ErrUnavailable) || errors.Is(err, ErrReadOnly) || errors.Is(err, ErrUnknown)
}

// Unwell reports whether an error speaks about the database and its state, and not about what it was asked to do: it is unreachable,
// read-only, locked, out of time, or refuses a right or a table that it had before. The same request may succeed later. An error about
// the data (ErrRefused) and one of the program's own are not of this kind.
func Unwell(err error) bool {
	switch {
	case err == nil, errors.Is(err, ErrRefused):
		return false
	case Away(err), errors.Is(err, ErrMalformed):
		return true
	}
	return sqlState(err) != "" || isSQLiteError(err)
}
