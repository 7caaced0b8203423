package workers

import (
	"go.uber.org/zap"

	"github.com/sluiceworks/sluice/modules/workers/slots"
)

// newLimits returns the limits of the handlers of a process with c.Slots slots. A limit in c.HandlerLimits overrides
// the handler's own limit; 0 means no limit. Both are lowered to what the process's limit of open files allows, which
// is logged.
func newLimits(c Config, d Deps) *slots.Limits {
	limits, files := map[string]int{}, filesForTasks()
	for _, name := range d.Handlers.Names() {
		limit, ok := c.HandlerLimits[name]
		if !ok {
			limit = d.Handlers.Limit(name)
		}
		if perTask := d.Handlers.FilesPerTask(name); perTask > 0 {
			wanted := c.Slots
			if limit > 0 {
				wanted = min(limit, c.Slots)
			}
			if possible := max(files/perTask, 1); possible < wanted {
				d.Log.Warn("handler limit lowered, because the limit of open files (ulimit -n) is too low",
					zap.String("handler", name), zap.Int("asked", wanted), zap.Int("limit", possible))
				limit = possible
			}
		}
		if limit > 0 && limit < c.Slots { // a limit of at least Slots has no effect
			limits[name] = limit
		}
	}
	return slots.NewLimits(limits)
}
