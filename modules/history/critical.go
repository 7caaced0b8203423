package history

import (
	"slices"
	"time"

	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// CriticalStep is a task of the critical path: a chain of tasks that each waited for the one before, up to the task
// that ended the execution. From is when the previous link ended, or the start for the first, so the links cover the
// execution's whole time.
type CriticalStep struct {
	TaskName string      `json:"id"`
	From     dbtype.Time `json:"from"`
	To       dbtype.Time `json:"to"`
}

// Duration returns how long the execution waited for the task.
func (l CriticalStep) Duration() time.Duration { return l.To.Sub(l.From.Time) }

// critical follows the chain back from the task that ended last. For an execution that has not ended, it follows the
// chain back from the task that has been active for the longest time.
func (w *walk) critical(t *Timeline) []CriticalStep {
	l := w.final(t.To)
	if l == nil {
		return []CriticalStep{}
	}
	var links []CriticalStep
	upto := len(w.past.log.events)
	for end := t.To; l != nil; {
		before, at := w.predecessor(l, upto)
		link := CriticalStep{l.row.TaskName, t.From, end}
		if before != nil {
			link.From = at.at
			upto = at.position + 1
		}
		links = append(links, link)
		l, end = before, link.From
	}
	slices.Reverse(links)
	return links
}

// final returns the task that determined the end: one that ended then, or has not ended. Among several it prefers one
// that ran to one that only waited, and then the one that was ready first.
func (w *walk) final(end dbtype.Time) (best *taskLife) {
	for _, l := range w.order {
		if l.status.Terminal() && l.ends[len(l.ends)-1].at.Before(end.Time) {
			continue
		}
		if best == nil || l.weight() > best.weight() || l.weight() == best.weight() && l.readyAt() < best.readyAt() {
			best = l
		}
	}
	if best != nil || len(w.order) == 0 {
		return best
	}
	// Nothing is active and nothing ended at this time, because the report is later than the end.
	return slices.MaxFunc(w.order, func(a, b *taskLife) int { return a.lastEnd() - b.lastEnd() })
}

// weight ranks how likely a task determined the end: 3 if it ran last, 2 if it was ready, 1 if it waited or had
// ended, 0 if it was skipped or did nothing.
func (l *taskLife) weight() int {
	if l.status == tasks.Skipped || len(l.row.Segments) == 0 {
		return 0
	}
	switch l.row.Segments[len(l.row.Segments)-1].Kind {
	case Running:
		return 3
	case Waiting, Ended:
		return 1
	}
	return 2
}

func (l *taskLife) readyAt() int {
	if len(l.ready) == 0 {
		return 0
	}
	return l.ready[len(l.ready)-1].position
}

func (l *taskLife) lastEnd() int {
	if len(l.ends) == 0 {
		return -1
	}
	return l.ends[len(l.ends)-1].position
}

// predecessor returns the dependency whose end made a task ready, for the last time before a position of the log. It
// returns nil for a task that did not wait for any.
func (w *walk) predecessor(l *taskLife, upto int) (before *taskLife, at mark) {
	decided, ok := latest(l.ready, upto)
	if !ok {
		decided, ok = latest(l.ends, upto) // it was skipped or abandoned
	}
	limit := upto
	if ok {
		limit = decided.position
	}
	for _, name := range l.Needs {
		d, known := w.names[name]
		if !known {
			continue
		}
		if m, ended := latest(d.ends, limit); ended && (before == nil || m.position > at.position) {
			before, at = d, m
		}
	}
	return before, at
}

// latest returns the last mark before a position.
func latest(marks []mark, before int) (m mark, ok bool) {
	for _, x := range marks {
		if x.position < before {
			m, ok = x, true
		}
	}
	return m, ok
}
