package app

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"sluice/modules/leases"
	"sluice/modules/pipelines"
	"sluice/modules/tasks"
	"sluice/platform/db"
)

// liveHandlers are the handlers that some worker with a lease runs.
func liveHandlers(list []leases.Worker, now time.Time) map[string]bool {
	served := map[string]bool{}
	for _, w := range list {
		if alive(w, now) {
			for name := range strings.SplitSeq(w.Handlers, ",") {
				served[name] = true
			}
		}
	}
	return served
}

// due says why a task that may be claimed from an instant on has not been.
func due(at db.Time, handler string, served map[string]bool, now time.Time) string {
	switch {
	case at.After(now):
		return "due in " + span(at.Sub(now))
	case !served[handler]:
		return fmt.Sprintf("no live worker serves handler %q: start `sluice serve`", handler)
	}
	return "due: waiting for a free worker slot"
}

// waiting says why a task is not running: empty for one that runs or has ended.
func (h *history) waiting(t tasks.Task, x pipelines.Execution, all []tasks.Task, served map[string]bool, now time.Time) string {
	switch {
	case t.Status == tasks.NotStarted:
		return "waits for " + strings.Join(h.openNeeds(t, all), ", ")
	case t.Status != tasks.Ready:
		return ""
	case x.Status == pipelines.Paused:
		return h.pausedBy()
	}
	why := due(t.RetryAt, t.Handler, served, now)
	last, known := h.last[t.ID]
	if !known {
		return why
	}
	s, err := tell(last)
	switch {
	case err != nil:
		return why
	case t.RetryAt.After(now) && t.SubStatus == tasks.Deferred:
		return fmt.Sprintf("deferred, %s: %s", why, s.text)
	case t.RetryAt.After(now):
		return "retry " + why
	}
	return fmt.Sprintf("ready for %s, %s", span(now.Sub(last.CreatedAt.Time)), why)
}

func (h *history) pausedBy() string {
	s, err := tell(h.paused)
	if err != nil {
		return "the pipeline is paused"
	}
	text := "the pipeline was paused"
	if h.paused.Actor != "" {
		text += " by " + string(h.paused.Actor)
	}
	if s.text != "" {
		text += ": " + s.text
	}
	return text
}

// openNeeds lists the dependencies of a task that have not ended.
func (h *history) openNeeds(t tasks.Task, all []tasks.Task) []string {
	var open []string
	for _, other := range all {
		if !other.Status.Terminal() && slices.Contains(h.needs[t.ID], other.TaskName) {
			open = append(open, other.TaskName)
		}
	}
	return open
}
