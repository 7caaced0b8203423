package tasks

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
)

// Registry holds the handlers of this process by name. It does not change after NewRegistry, so it is safe for
// concurrent use.
type Registry struct {
	handlers map[string]Handler
}

var handlerName = regexp.MustCompile(`^[a-z][a-z0-9_.-]{0,62}$`)

// NewRegistry returns a registry of the given handlers. A valid name is a lower-case letter followed by at most 62
// characters of a-z, 0-9, '_', '.' and '-'. NewRegistry returns one error that names each handler that is nil, has an
// invalid name, has the name of another handler, or has a negative limit.
func NewRegistry(handlers []Handler) (*Registry, error) {
	r := &Registry{handlers: make(map[string]Handler, len(handlers))}
	var errs []error
	for _, h := range handlers {
		if err := r.add(h); err != nil {
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("register handlers: %w", err)
	}
	return r, nil
}

func (r *Registry) add(h Handler) error {
	if v := reflect.ValueOf(h); h == nil || v.Kind() == reflect.Pointer && v.IsNil() {
		return fmt.Errorf("a handler is nil (%T)", h)
	}
	name := h.Name()
	if !handlerName.MatchString(name) {
		return fmt.Errorf("handler name %q of %T: expected a lower-case letter, then at most 62 of a-z, 0-9, '_', "+
			"'.' and '-'", name, h)
	}
	if first, ok := r.handlers[name]; ok {
		return fmt.Errorf("two handlers are named %q: %T and %T", name, first, h)
	}
	if limit := limitOf(h); limit < 0 {
		return fmt.Errorf("handler %q has the limit %d: expected at least 1, or 0 for none", name, limit)
	}
	r.handlers[name] = h
	return nil
}

// Handler returns the handler with the given name, and whether there is one.
func (r *Registry) Handler(name string) (Handler, bool) {
	h, ok := r.handlers[name]
	return h, ok
}

// Limit returns how many tasks of a handler one process runs at once; 0 means no limit other than the number of slots.
func (r *Registry) Limit(name string) int { return limitOf(r.handlers[name]) }

// SelfTester returns the handler with the given name if it implements SelfTester.
func (r *Registry) SelfTester(name string) (SelfTester, bool) {
	t, ok := unlimited(r.handlers[name]).(SelfTester)
	return t, ok
}

// FilesPerTask returns the maximum number of file descriptors that a task of a handler keeps open; 0 if it is unknown.
func (r *Registry) FilesPerTask(name string) int {
	if f, ok := unlimited(r.handlers[name]).(FileUser); ok {
		return f.FilesPerTask()
	}
	return 0
}

// unlimited returns the handler that was passed to WithLimit, or h itself.
func unlimited(h Handler) Handler {
	for {
		l, ok := h.(*limitedHandler)
		if !ok {
			return h
		}
		h = l.Handler
	}
}

func limitOf(h Handler) int {
	if l, ok := h.(ConcurrencyLimited); ok {
		return l.Limit()
	}
	return 0
}

// Names returns the names of all handlers, sorted.
func (r *Registry) Names() []string {
	return slices.Sorted(maps.Keys(r.handlers))
}
