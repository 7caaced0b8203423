package app

import (
	"fmt"
	"strings"
	"time"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/outbox"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/tasks"
)

// waiting says why a task is not running, or will not continue. It returns "" for a task that runs or has ended.
func (h *attemptHistory) waiting(t tasks.Task, x pipelines.Execution, all map[string]tasks.Status, f processes) string {
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
	why := f.due(t.RetryAt, t.Handler, queueOf(t, x))
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

// queueOf returns the queue that a task waits in: its own, or the private queue of the sluice run process that its
// run is reserved for.
func queueOf(t tasks.Task, x pipelines.Execution) string {
	if x.ReservedFor != "" {
		return outbox.PrivateQueue(string(x.ReservedFor))
	}
	return t.Queue
}

// waitsFor names the open dependencies of a task, and says that the pipeline is paused if it is.
func (h *attemptHistory) waitsFor(t tasks.Task, x pipelines.Execution, all map[string]tasks.Status) string {
	text := "waits for " + strings.Join(h.openNeeds(t, all), ", ")
	if x.Status == pipelines.Paused {
		text += "; " + h.pausedBy()
	}
	return text
}

// deferred describes a deferral: until when, why, and what else the task waits for.
func (h *attemptHistory) deferred(last events.Event, why string) string {
	s, err := describeEvent(last)
	if err != nil {
		return why
	}
	return fmt.Sprintf("%s: %s (%s)", s.what, s.text, why)
}

func (h *attemptHistory) pausedBy() string {
	s, err := describeEvent(h.paused)
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
func (h *attemptHistory) openNeeds(t tasks.Task, all map[string]tasks.Status) []string {
	var open []string
	for _, need := range h.needs[t.ID] {
		if status, known := all[need]; known && !status.Terminal() {
			open = append(open, fmt.Sprintf("%s (%s)", need, status))
		}
	}
	return open
}

// statusesOf returns the status of each task by its name.
func statusesOf(list []tasks.Task) map[string]tasks.Status {
	out := make(map[string]tasks.Status, len(list))
	for _, t := range list {
		out[t.TaskName] = t.Status
	}
	return out
}

// waited is waiting for a moment of the past, of which the workers are not known any more.
func (h *attemptHistory) waited(t tasks.Task, x pipelines.Execution, all map[string]tasks.Status, now time.Time) string {
	switch {
	case t.Status == tasks.NotStarted:
		return h.waitsFor(t, x, all)
	case t.Status != tasks.Ready:
		return ""
	case x.Status == pipelines.Paused:
		return h.pausedBy()
	}
	why := "due: waiting for a worker"
	if t.RetryAt.After(now) {
		why = "due in " + span(t.RetryAt.Sub(now))
	}
	if t.SubStatus == tasks.Deferred {
		return h.deferred(h.last[t.ID], why)
	}
	return why
}
