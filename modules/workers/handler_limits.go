package workers

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/sluiceworks/sluice/modules/tasks"
)

// HandlerLimits are the capacities of the handlers that may run fewer tasks at once than the process has slots. Pools
// with the same HandlerLimits share the capacity. Each handler has a FairSemaphore, so capacity is shared as fairly as
// slots are.
type HandlerLimits struct {
	budgets map[string]*FairSemaphore // by handler
	lowered []lowered
}

// lowered describes a handler that the limit of open files restricts to fewer tasks at once.
type lowered struct {
	handler  string
	from, to int
}

// NewHandlerLimits returns the limits of a process with the given number of slots. A limit in given overrides the
// handler's own limit; 0 means no limit. Both are lowered to what the process's limit of open files allows.
func NewHandlerLimits(handlers *tasks.Registry, given map[string]int, slots int) *HandlerLimits {
	l := &HandlerLimits{budgets: map[string]*FairSemaphore{}}
	files := filesForTasks()
	for _, name := range handlers.Names() {
		limit, ok := given[name]
		if !ok {
			limit = handlers.Limit(name)
		}
		if per := handlers.FilesPerTask(name); per > 0 {
			wanted := slots
			if limit > 0 {
				wanted = min(limit, slots)
			}
			if most := max(files/per, 1); most < wanted {
				l.lowered = append(l.lowered, lowered{name, wanted, most})
				limit = most
			}
		}
		if limit > 0 && limit < slots { // a limit of at least slots has no effect
			l.budgets[name] = NewFairSemaphore(limit)
		}
	}
	return l
}

// warn logs the limits that are lower than requested.
func (l *HandlerLimits) warn(log *zap.Logger) {
	for _, x := range l.lowered {
		log.Warn("handler limit lowered, because the limit of open files (ulimit -n) is too low",
			zap.String("handler", x.handler), zap.Int("asked", x.from), zap.Int("limit", x.to))
	}
}

// HandlerCapacity is the capacity of one handler with a limit: how many tasks a process may run at once, and how many
// slots are in use.
type HandlerCapacity struct {
	Handler     string
	Limit, Used int
}

// State returns the capacities, sorted by handler name.
func (l *HandlerLimits) State() []HandlerCapacity {
	var list []HandlerCapacity
	for _, name := range slices.Sorted(maps.Keys(l.budgets)) {
		limit, used := l.budgets[name].State()
		list = append(list, HandlerCapacity{name, limit, used})
	}
	return list
}

// String returns the limits in the format of the table of workers, such as "http=256,shell=64".
func (l *HandlerLimits) String() string {
	var parts []string
	for _, r := range l.State() {
		parts = append(parts, fmt.Sprintf("%s=%d", r.Handler, r.Limit))
	}
	return strings.Join(parts, ",")
}

// join returns a pool's member of each semaphore, by handler name.
func (l *HandlerLimits) join(wake func()) map[string]*semaphoreMember {
	members := make(map[string]*semaphoreMember, len(l.budgets))
	for name, b := range l.budgets {
		members[name] = b.join(wake)
	}
	return members
}
