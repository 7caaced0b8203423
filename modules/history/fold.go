package history

import (
	"bytes"
	"slices"

	"github.com/sluiceworks/sluice/modules/audit"
	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// Past is what the events of an execution say about it: its state, where its time went, and what became of each
// attempt. If the history is broken, State and Timeline return ErrBroken; the rest is then what the events that are
// there say.
type Past struct {
	log    *Log
	replay *audit.Replay
	broken error // ErrBroken: the replay stopped, and there are no further segments
	failed error // the first event whose data could not be decoded

	lives      map[dbtype.ID]*taskLife
	order      []*taskLife // in the order of the tasks' creation
	paused     bool
	lastPause  events.Event
	lastCancel events.Event
}

// Fold reads all events of one execution, which may be given in any order.
func Fold(list []events.Event) *Past { return order(list).Fold() }

// Fold reads the events of the log.
func (l *Log) Fold() *Past {
	p := &Past{log: l, replay: audit.NewReplay(), broken: l.broken, lives: map[dbtype.ID]*taskLife{}}
	for i := range l.events {
		p.step(&l.events[i], i)
	}
	slices.SortFunc(p.order, func(a, b *taskLife) int {
		return bytes.Compare(a.row.TaskExecutionID[:], b.row.TaskExecutionID[:])
	})
	return p
}

// DecodeErr returns why the data of an event could not be decoded, or nil. That event is missing from the records of
// tasks.
func (p *Past) DecodeErr() error { return p.failed }

// LastPause returns the last pipeline_paused, or the zero Event if there is none.
func (p *Past) LastPause() events.Event { return p.lastPause }

// LastCancellation returns the last pipeline_cancelled, or the zero Event if there is none.
func (p *Past) LastCancellation() events.Event { return p.lastCancel }

// Task returns what the history says about a task. It is the zero TaskRecord if the history has no event of it.
func (p *Past) Task(id dbtype.ID) TaskRecord {
	if l, ok := p.lives[id]; ok {
		return l.TaskRecord
	}
	return TaskRecord{}
}

// step applies the next event of the log.
func (p *Past) step(e *events.Event, position int) {
	if p.broken == nil {
		p.broken = p.replay.Step(e)
	}
	if e.Version == nil {
		return // an annotation
	}
	if e.TaskExecutionID.IsZero() {
		p.pipeline(e, p.log.times[position])
		return
	}
	l, ok := p.lives[e.TaskExecutionID]
	if !ok {
		l = &taskLife{row: TaskTimeline{TaskExecutionID: e.TaskExecutionID, Segments: []Segment{}}}
		p.lives[e.TaskExecutionID] = l
		p.order = append(p.order, l)
	}
	if err := l.record(e); err != nil && p.failed == nil {
		p.failed = err
	}
	if p.broken == nil {
		p.advance(l, e, position)
	}
}

// pipeline applies an event of the pipeline itself. A pause or its end switches the segments of ready tasks.
func (p *Past) pipeline(e *events.Event, at dbtype.Time) {
	switch e.EventType {
	case events.PipelineCancelled:
		p.lastCancel = *e
		return
	case events.PipelinePaused:
		p.lastPause = *e
	case events.PipelineResumed:
	default:
		return
	}
	p.paused = e.EventType == events.PipelinePaused
	for _, l := range p.order {
		if l.status == tasks.Ready && p.broken == nil {
			t, _ := p.replay.Task(l.row.TaskExecutionID)
			l.transition(t, p.paused, at, e.EventType, false)
		}
	}
}

// advance adds to the segments of a task what an event that has been replayed changed.
func (p *Past) advance(l *taskLife, e *events.Event, position int) {
	at := p.log.times[position]
	t, _ := p.replay.Task(e.TaskExecutionID)
	l.row.TaskName = t.TaskName
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
	l.transition(t, p.paused, at, e.EventType, lost)
}
