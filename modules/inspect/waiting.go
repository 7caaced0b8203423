package inspect

import (
	"fmt"
	"strings"
	"time"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/outbox"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/tasks"
)

// Waiting is a task that is not running, with the reason.
type Waiting struct {
	TaskName string `json:"id"`
	Reason   string `json:"reason"`
}

// Waiting says why each task is not running, or will not continue, in the order of the tasks. Tasks that run or have
// ended are not in the list. If the execution has ended, the workers may be the zero value.
func (r *Run) Waiting(w Workers) []Waiting {
	status := r.Statuses()
	return r.reasons(func(t tasks.Task) string { return r.waiting(t, status, w) })
}

// WaitingAt is Waiting for a moment of the past, of which the workers are not known any more.
func (r *Run) WaitingAt(now time.Time) []Waiting {
	status := r.Statuses()
	return r.reasons(func(t tasks.Task) string { return r.waitingAt(t, status, now) })
}

func (r *Run) reasons(reason func(tasks.Task) string) []Waiting {
	list := []Waiting{}
	for _, t := range r.Tasks {
		if why := reason(t); why != "" {
			list = append(list, Waiting{t.TaskName, why})
		}
	}
	return list
}

// Statuses returns the status of each task by its name.
func (r *Run) Statuses() map[string]tasks.Status {
	out := make(map[string]tasks.Status, len(r.Tasks))
	for _, t := range r.Tasks {
		out[t.TaskName] = t.Status
	}
	return out
}

func (r *Run) waiting(t tasks.Task, all map[string]tasks.Status, w Workers) string {
	switch {
	case t.Status == tasks.NotStarted:
		return r.waitsFor(t, all)
	case t.Status == tasks.Running:
		return w.unattended(t)
	case t.Status != tasks.Ready:
		return ""
	case r.Execution.Status == pipelines.Paused:
		return r.PausedBy()
	}
	why := w.Due(t.RetryAt, t.Handler, r.queueOf(t))
	last := r.Past.Task(t.ID).Last
	switch {
	case last.EventType == "":
		return why
	case last.EventType == events.TaskDeferred:
		return deferred(last, why)
	case t.RetryAt.After(w.Now):
		return "retry " + why
	}
	return fmt.Sprintf("ready for %s, %s", Span(w.Now.Sub(last.CreatedAt.Time)), why)
}

func (r *Run) waitingAt(t tasks.Task, all map[string]tasks.Status, now time.Time) string {
	switch {
	case t.Status == tasks.NotStarted:
		return r.waitsFor(t, all)
	case t.Status != tasks.Ready:
		return ""
	case r.Execution.Status == pipelines.Paused:
		return r.PausedBy()
	}
	why := "due: waiting for a worker"
	if t.RetryAt.After(now) {
		why = "due in " + Span(t.RetryAt.Sub(now))
	}
	if t.SubStatus == tasks.Deferred {
		return deferred(r.Past.Task(t.ID).Last, why)
	}
	return why
}

// queueOf returns the queue that a task waits in: its own, or the private queue of the sluice run process that its
// run is reserved for.
func (r *Run) queueOf(t tasks.Task) string {
	if worker := r.Execution.ReservedFor; worker != "" {
		return outbox.PrivateQueue(string(worker))
	}
	return t.Queue
}

// waitsFor names the open dependencies of a task, and says that the pipeline is paused if it is.
func (r *Run) waitsFor(t tasks.Task, all map[string]tasks.Status) string {
	var open []string
	for _, need := range r.Past.Task(t.ID).Needs {
		if status, known := all[need]; known && !status.Terminal() {
			open = append(open, fmt.Sprintf("%s (%s)", need, status))
		}
	}
	text := "waits for " + strings.Join(open, ", ")
	if r.Execution.Status == pipelines.Paused {
		text += "; " + r.PausedBy()
	}
	return text
}

// deferred describes a deferral: until when, why, and what else the task waits for.
func deferred(last events.Event, why string) string {
	d, err := Describe(last)
	if err != nil {
		return why
	}
	return fmt.Sprintf("%s: %s (%s)", d.What, d.Text, why)
}

// PausedBy says who paused the execution, when and why. Use it if the execution is paused.
func (r *Run) PausedBy() string {
	e := r.Past.LastPause()
	d, err := Describe(e)
	if err != nil || e.EventType == "" {
		return "the pipeline is paused"
	}
	text := "the pipeline was paused"
	if e.Actor != "" {
		text += " by " + string(e.Actor)
	}
	text += " at " + Moment(e.CreatedAt)
	if d.Text != "" {
		text += ": " + d.Text
	}
	return text
}

// CancelledBy says who cancelled the execution, when and why. It returns "" if nobody did.
func (r *Run) CancelledBy() string {
	e := r.Past.LastCancellation()
	if r.Execution.Status != pipelines.Cancelled || e.EventType == "" {
		return ""
	}
	d, err := Describe(e)
	if err != nil {
		return ""
	}
	text := "at " + Moment(e.CreatedAt)
	if e.Actor != "" {
		text = "by " + string(e.Actor) + " " + text
	}
	if d.Text != "" {
		text += ": " + d.Text
	}
	return text
}
