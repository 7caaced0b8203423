package tasks

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// FieldError is an error in one key of a task's `with`.
type FieldError struct {
	Field string // the path of the key; empty if the error is about `with` as a whole
	Msg   string // what is wrong
	Hint  string // what to do instead
}

func (e *FieldError) Error() string {
	s := e.Msg
	if e.Field != "" {
		s = fmt.Sprintf("with.%s: %s", e.Field, e.Msg)
	}
	if e.Hint != "" {
		s += " (" + e.Hint + ")"
	}
	return s
}

// FieldErrors holds all errors in a task's `with`, at most one for each key.
type FieldErrors []*FieldError

func (e FieldErrors) Error() string {
	texts := make([]string, len(e))
	for i, f := range e {
		texts[i] = f.Error()
	}
	return strings.Join(texts, "; ")
}

// Unwrap returns the errors of the keys.
func (e FieldErrors) Unwrap() []error {
	list := make([]error, len(e))
	for i, f := range e {
		list[i] = f
	}
	return list
}

// JoinFields joins the errors of several checks of the same `with`. It returns nil if there are none, and FieldErrors
// otherwise. If a key has several errors, the first is kept. An error that is neither *FieldError nor FieldErrors
// becomes one about `with` as a whole.
func JoinFields(errs ...error) error {
	var all FieldErrors
	for _, err := range errs {
		for _, f := range FieldErrorsOf(err) {
			if !slices.ContainsFunc(all, func(e *FieldError) bool { return e.Field == f.Field }) {
				all = append(all, f)
			}
		}
	}
	if len(all) == 0 {
		return nil
	}
	return all
}

// FieldErrorsOf returns the errors that an error of Handler.Check contains; nil for nil. An error of another type
// becomes one about `with` as a whole.
func FieldErrorsOf(err error) FieldErrors {
	var list FieldErrors
	var one *FieldError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &list):
		return list
	case errors.As(err, &one):
		return FieldErrors{one}
	}
	return FieldErrors{{Msg: err.Error()}}
}

// root returns the top-level key of `with` that contains the error.
func (e *FieldError) root() string {
	if end := strings.IndexAny(e.Field, ".["); end >= 0 {
		return e.Field[:end]
	}
	return e.Field
}
