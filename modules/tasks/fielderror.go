package tasks

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// FieldError is a mistake in one key of a task's `with`.
type FieldError struct {
	Field string // the key; empty for the whole
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

// FieldErrors are all mistakes in a task's `with`, at most one of each key.
type FieldErrors []*FieldError

func (e FieldErrors) Error() string {
	texts := make([]string, len(e))
	for i, f := range e {
		texts[i] = f.Error()
	}
	return strings.Join(texts, "; ")
}

// Unwrap returns the mistakes.
func (e FieldErrors) Unwrap() []error {
	list := make([]error, len(e))
	for i, f := range e {
		list[i] = f
	}
	return list
}

// JoinFields makes one error of what several checks of the same `with` have returned: nil of nothing, else FieldErrors.
// Of several mistakes in one key the first counts. An error that is no mistake in a `with` becomes one in the whole.
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

// FieldErrorsOf returns the mistakes that an error of Handler.Check names; none of nil.
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

// root is the key of `with` itself in which the mistake is.
func (e *FieldError) root() string {
	if end := strings.IndexAny(e.Field, ".["); end >= 0 {
		return e.Field[:end]
	}
	return e.Field
}
