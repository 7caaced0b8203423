package history

import (
	"bytes"
	"slices"
	"time"

	"github.com/sluiceworks/sluice/modules/audit"
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

// walk builds a timeline.
type walk struct {
	log    *Log
	replay *audit.Replay
	lives  map[dbtype.ID]*taskLife
	order  []*taskLife
	names  map[string]*taskLife
	paused bool
}

// Timeline computes where the time went. now is the moment of the report, which ends the segments that have not
// ended. It returns ErrBroken for a broken history.
func (l *Log) Timeline(now dbtype.Time) (*Timeline, error) {
	w := &walk{log: l, replay: audit.NewReplay(), lives: map[dbtype.ID]*taskLife{}, names: map[string]*taskLife{}}
	for i := range l.events {
		e := &l.events[i]
		if err := w.replay.Step(e); err != nil {
			return nil, err
		}
		if e.TaskExecutionID.IsZero() {
			w.pipeline(e.EventType, l.times[i])
		} else if e.EventType != events.Annotation {
			w.task(e, i)
		}
	}
	if last, _ := l.Last(); now.Before(last.Time) {
		now = last
	}
	slices.SortFunc(w.order, func(a, b *taskLife) int { return bytes.Compare(a.row.TaskExecutionID[:], b.row.TaskExecutionID[:]) })
	return w.finish(now), nil
}

// pipeline switches the segments of ready tasks when the pipeline is paused or resumed.
func (w *walk) pipeline(by events.Type, at dbtype.Time) {
	if by != events.PipelinePaused && by != events.PipelineResumed {
		return
	}
	w.paused = by == events.PipelinePaused
	for _, l := range w.order {
		if l.status == tasks.Ready {
			t, _ := w.replay.Task(l.row.TaskExecutionID)
			l.transition(t, w.paused, at, by, false)
		}
	}
}

func (w *walk) task(e *events.Event, position int) {
	at := w.log.times[position]
	t, needs := w.replay.Task(e.TaskExecutionID)
	l, ok := w.lives[e.TaskExecutionID]
	if !ok {
		l = &taskLife{row: TaskTimeline{TaskExecutionID: e.TaskExecutionID, TaskName: t.TaskName, Segments: []Segment{}}, needs: needs}
		w.lives[e.TaskExecutionID], w.names[t.TaskName] = l, l
		w.order = append(w.order, l)
	}
	if e.EventType == events.TaskMarkedReady {
		l.ready = append(l.ready, mark{position, at})
	}
	if t.Status.Terminal() {
		l.ends = append(l.ends, mark{position, at})
	}
	if l.status == t.Status && l.sub == t.SubStatus {
		return // a step within the same segment
	}
	lost := e.WorkerID == "" // a worker that releases a task is named in the event
	l.transition(t, w.paused, at, e.EventType, lost)
}

func (w *walk) finish(now dbtype.Time) *Timeline {
	t := &Timeline{Rows: make([]TaskTimeline, len(w.order))}
	if len(w.log.times) == 0 {
		return t
	}
	state := w.replay.Pipeline()
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
	for i, e := range w.log.events {
		switch e.EventType {
		case events.PipelineCompleted, events.PipelineFailed, events.PipelineCancelled:
			at = w.log.times[i]
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
