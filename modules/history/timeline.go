package history

import (
	"slices"
	"time"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// Timeline shows where the time of an execution went.
type Timeline struct {
	From     dbtype.Time    // the execution's start
	To       dbtype.Time    // its end, or the moment of the report if it has not ended
	Rows     []TaskTimeline // in the order of the tasks' creation
	Critical []CriticalStep
	Spent    []TimeByKind
}

// TaskTimeline is the life of a task.
type TaskTimeline struct {
	TaskExecutionID dbtype.ID    `json:"task_execution_id"`
	TaskName        string       `json:"id"`
	Status          tasks.Status `json:"status"`
	Segments        []Segment    `json:"segments"`
}

// Of returns how long the row was of the given kinds.
func (r TaskTimeline) Of(kinds ...Kind) (sum time.Duration) {
	for _, s := range r.Segments {
		if slices.Contains(kinds, s.Kind) {
			sum += s.Duration()
		}
	}
	return sum
}

// OwnTime returns how long the task took from being ready to its end, whatever it did in that time.
func (r TaskTimeline) OwnTime() time.Duration { return r.Of(own...) }

// own are the kinds of a task's own time, without the time of its dependencies and the time after its end.
var own = []Kind{Queued, Running, BackingOff, Deferred, Paused}

// TimeByKind is how long tasks were of a kind.
type TimeByKind struct {
	Kind         Kind          `json:"kind"`
	CriticalPath time.Duration `json:"-"` // of the time from the execution's start to its end
	AllTasks     time.Duration `json:"-"` // the sum over all tasks
}

// walk is the tasks of a past up to a moment, from which a timeline is computed.
type walk struct {
	past  *Past
	order []*taskLife // copies, whose open segments may be closed
	names map[string]*taskLife
}

// Timeline computes where the time went. now is the moment of the report, which ends the segments that have not
// ended. It returns ErrBroken for a broken history.
func (p *Past) Timeline(now dbtype.Time) (*Timeline, error) {
	if p.broken != nil {
		return nil, p.broken
	}
	w := &walk{past: p, order: make([]*taskLife, len(p.order)), names: make(map[string]*taskLife, len(p.order))}
	for i, l := range p.order {
		life := *l
		life.row.Segments = slices.Clip(life.row.Segments)
		w.order[i], w.names[life.row.TaskName] = &life, &life
	}
	if last, _ := p.log.Last(); now.Before(last.Time) {
		now = last
	}
	return w.finish(now), nil
}

func (w *walk) finish(now dbtype.Time) *Timeline {
	t := &Timeline{Rows: make([]TaskTimeline, len(w.order))}
	if len(w.past.log.times) == 0 {
		return t
	}
	state := w.past.replay.Pipeline()
	t.From, t.To = state.CreatedAt, now
	if !state.CompletedAt.IsZero() {
		t.To = w.ended()
	}
	for i, l := range w.order {
		if !l.status.Terminal() {
			l.close(t.To, "")
		}
		t.Rows[i] = l.row
	}
	t.Critical = w.critical(t)
	t.Spent = t.spent()
	return t
}

// ended returns the time of the pipeline's last end.
func (w *walk) ended() (at dbtype.Time) {
	for i, e := range w.past.log.events {
		switch e.EventType {
		case events.PipelineCompleted, events.PipelineFailed, events.PipelineCancelled:
			at = w.past.log.times[i]
		}
	}
	return at
}

func (t *Timeline) spent() (list []TimeByKind) {
	rows := map[string]TaskTimeline{}
	for _, r := range t.Rows {
		rows[r.TaskName] = r
	}
	for _, k := range Kinds() {
		s := TimeByKind{Kind: k}
		for _, r := range t.Rows {
			s.AllTasks += r.Of(k)
		}
		for _, c := range t.Critical {
			s.CriticalPath += rows[c.TaskName].within(k, c.From, c.To)
		}
		if s.AllTasks > 0 {
			list = append(list, s)
		}
	}
	return list
}

// within returns how long the row was of a kind between two times.
func (r TaskTimeline) within(k Kind, from, to dbtype.Time) (sum time.Duration) {
	for _, s := range r.Segments {
		begin, end := s.From, s.To
		if begin.Before(from.Time) {
			begin = from
		}
		if end.After(to.Time) {
			end = to
		}
		if s.Kind == k && begin.Before(end.Time) {
			sum += end.Sub(begin.Time)
		}
	}
	return sum
}
