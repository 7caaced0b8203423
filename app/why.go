package app

import (
	"fmt"
	"slices"
	"strings"

	"sluice/modules/events"
	"sluice/modules/pipelines"
	"sluice/modules/tasks"
)

// waiting says why a task is not running, or won't run on; empty for one that runs or has ended.
func (h *history) waiting(t tasks.Task, x pipelines.Execution, all []tasks.Task, f fleet) string {
	switch {
	case t.Status == tasks.NotStarted:
		return h.waitsFor(t, x, all)
	case t.Status == tasks.Running:
		return f.lost(t)
	case t.Status != tasks.Ready:
		return ""
	case x.Status == pipelines.Paused:
		return h.pausedBy()
	}
	why := f.due(t.RetryAt, t.Handler, t.Queue)
	last, known := h.last[t.ID]
	switch {
	case !known:
		return why
	case last.EventType == events.TaskDeferred:
		return h.deferred(last, why)
	case t.RetryAt.After(f.now):
		return "retry " + why
	}
	return fmt.Sprintf("ready for %s, %s", span(f.now.Sub(last.CreatedAt.Time)), why)
}

// waitsFor names the dependencies, and where they can't go on either, why not.
func (h *history) waitsFor(t tasks.Task, x pipelines.Execution, all []tasks.Task) string {
	text := "waits for " + strings.Join(h.openNeeds(t, all), ", ")
	if x.Status == pipelines.Paused {
		text += "; " + h.pausedBy()
	}
	return text
}

// deferred tells of a deferral: until when, why, and what else keeps the task once its time has come.
func (h *history) deferred(last events.Event, why string) string {
	s, err := tell(last)
	if err != nil {
		return why
	}
	return fmt.Sprintf("%s: %s (%s)", s.what, s.text, why)
}

func (h *history) pausedBy() string {
	s, err := tell(h.paused)
	if err != nil || h.paused.EventType == "" {
		return "the pipeline is paused"
	}
	text := "the pipeline was paused"
	if h.paused.Actor != "" {
		text += " by " + string(h.paused.Actor)
	}
	text += " at " + moment(h.paused.CreatedAt)
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
			open = append(open, fmt.Sprintf("%s (%s)", other.TaskName, other.Status))
		}
	}
	return open
}
