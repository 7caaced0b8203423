package slots

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Limits are the capacities of the handlers that may run fewer tasks at once than the process has slots. Pools with the
// same Limits share the capacity. Each handler has a Semaphore, so capacity is shared as fairly as slots are.
type Limits struct {
	handlers map[string]*Semaphore
}

// NewLimits returns the limits that limits contains by handler.
func NewLimits(limits map[string]int) *Limits {
	l := &Limits{handlers: make(map[string]*Semaphore, len(limits))}
	for handler, limit := range limits {
		l.handlers[handler] = NewSemaphore(limit)
	}
	return l
}

// Capacity is the capacity of one handler with a limit: how many of its tasks a process may run at once, and how many
// of these are in use.
type Capacity struct {
	Handler     string
	Limit, Used int
}

// State returns the capacities, sorted by handler.
func (l *Limits) State() []Capacity {
	var list []Capacity
	for _, name := range slices.Sorted(maps.Keys(l.handlers)) {
		limit, used := l.handlers[name].State()
		list = append(list, Capacity{name, limit, used})
	}
	return list
}

// String returns the limits in the format of the table of workers, such as "http=256,shell=64".
func (l *Limits) String() string {
	var parts []string
	for _, c := range l.State() {
		parts = append(parts, fmt.Sprintf("%s=%d", c.Handler, c.Limit))
	}
	return strings.Join(parts, ",")
}
