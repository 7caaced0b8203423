package history

import (
	"slices"
	"time"

	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db"
)

// Link is a task of the critical path: the chain of tasks of which each waited for the one before it, and the last of which ended
// the execution. From is when the one before it ended (the start, for the first), so that the links fill the execution's time.
type Link struct {
	TaskName string  `json:"task_name"`
	From     db.Time `json:"from"`
	To       db.Time `json:"to"`
}

// Duration is how long the execution waited for the task.
func (l Link) Duration() time.Duration { return l.To.Sub(l.From.Time) }

// critical follows the chain back from the task that ended last. Of an execution that goes on it is the chain so far: back from the
// task that has been under way for the longest time.
func (w *walk) critical(t *Timeline) []Link {
	l := w.final(t.To)
	if l == nil {
		return []Link{}
	}
	var links []Link
	upto := len(w.log.events)
	for end := t.To; l != nil; {
		before, at := w.predecessor(l, upto)
		link := Link{l.row.TaskName, t.From, end}
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

// final picks the task whose end, or lasting, made the end: of several, one that ran before one that only waited, and then the one
// that was ready first.
func (w *walk) final(end db.Time) (best *life) {
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
	// Nothing is under way and nothing ended just now: the report is later than the end.
	return slices.MaxFunc(w.order, func(a, b *life) int { return a.lastEnd() - b.lastEnd() })
}

// weight is how much a task has to do with the end: running at last, ready, or neither.
func (l *life) weight() int {
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

func (l *life) readyAt() int {
	if len(l.ready) == 0 {
		return 0
	}
	return l.ready[len(l.ready)-1].position
}

func (l *life) lastEnd() int {
	if len(l.ends) == 0 {
		return -1
	}
	return l.ends[len(l.ends)-1].position
}

// predecessor is the dependency whose end let a task become ready, the last time before a position of the log; nil for a task that
// had none to wait for.
func (w *walk) predecessor(l *life, upto int) (before *life, at mark) {
	decided, ok := latest(l.ready, upto)
	if !ok {
		decided, ok = latest(l.ends, upto) // it was skipped, or given up
	}
	limit := upto
	if ok {
		limit = decided.position
	}
	for _, name := range l.needs {
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

// latest is the last of the marks before a position.
func latest(marks []mark, before int) (m mark, ok bool) {
	for _, x := range marks {
		if x.position < before {
			m, ok = x, true
		}
	}
	return m, ok
}
