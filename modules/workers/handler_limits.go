package workers

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/sluiceworks/sluice/modules/tasks"
)

// HandlerLimits are those of handlers of whose tasks a process runs fewer at once than it has slots. Pools that share
// them share the room: each handler's is a Budget of its own, and so is as fair as that of the slots.
type HandlerLimits struct {
	budgets map[string]*FairSemaphore // by handler
	lowered []lowered
}

// lowered is a handler of which the limit of open files allows fewer tasks at once.
type lowered struct {
	handler  string
	from, to int
}

// NewHandlerLimits makes the limits of a process with so many slots: the handlers' own, but for those that are given,
// and none higher than the process's limit of open files allows.
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
		if limit > 0 && limit < slots { // else the slots see to it
			l.budgets[name] = NewFairSemaphore(limit)
		}
	}
	return l
}

// warn tells of limits that are lower than what was asked for.
func (l *HandlerLimits) warn(log *zap.Logger) {
	for _, x := range l.lowered {
		log.Warn("fewer tasks are run at once than asked for, because the limit of open files (ulimit -n) is low",
			zap.String("handler", x.handler), zap.Int("asked", x.from), zap.Int("limit", x.to))
	}
}

// HandlerCapacity is how many tasks of a handler with a limit a process runs at once, and how many it does.
type HandlerCapacity struct {
	Handler     string
	Limit, Used int
}

// State gives the rooms, in the order of their handlers.
func (l *HandlerLimits) State() []HandlerCapacity {
	var list []HandlerCapacity
	for _, name := range slices.Sorted(maps.Keys(l.budgets)) {
		limit, used := l.budgets[name].State()
		list = append(list, HandlerCapacity{name, limit, used})
	}
	return list
}

// String is the limits as the table of workers has them: http=256,shell=64.
func (l *HandlerLimits) String() string {
	var parts []string
	for _, r := range l.State() {
		parts = append(parts, fmt.Sprintf("%s=%d", r.Handler, r.Limit))
	}
	return strings.Join(parts, ",")
}

// join gives a pool its seat in each budget.
func (l *HandlerLimits) join(wake func()) map[string]*member {
	seats := make(map[string]*member, len(l.budgets))
	for name, b := range l.budgets {
		seats[name] = b.join(wake)
	}
	return seats
}
