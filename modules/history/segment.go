package history

import (
	"time"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db"
)

// Kind is what a task is doing for a while.
type Kind string

// The kinds, which together fill the time from a task's creation to its end.
const (
	Waiting    Kind = "waiting"     // for its dependencies
	Queued     Kind = "queued"      // due, and not claimed yet
	Running    Kind = "running"     // held by a worker
	BackingOff Kind = "backing_off" // until the next attempt is due
	Deferred   Kind = "deferred"    // until its handler's time has come
	Paused     Kind = "paused"      // ready, in a pipeline that is paused
	Ended      Kind = "ended"       // until an operator's retry reopened it
)

// Kinds lists every kind, in the order of a task's life.
func Kinds() []Kind { return []Kind{Waiting, Queued, Running, BackingOff, Deferred, Paused, Ended} }

// How a running segment came to its end, where that is no status of a task.
const (
	ResultDeferred = "Deferred"
	ResultLost     = "Lost"     // with its worker
	ResultReleased = "Released" // by its worker, unfinished
)

// Segment is a stretch of a task's life. The segments of a task follow each other without a gap.
type Segment struct {
	Kind    Kind    `json:"kind"`
	From    db.Time `json:"from"`
	To      db.Time `json:"to"`      // of what goes on: the moment of the report
	Attempt int     `json:"attempt"` // the one under way; else the one that comes next, or after the end the last
	Result  db.Text `json:"result"`  // of a running one that is over: Completed, Failed, Deferred, Lost, Released, Abandoned or Cancelled
}

// Duration is its length.
func (s Segment) Duration() time.Duration { return s.To.Sub(s.From.Time) }

// life collects the segments of one task.
type life struct {
	row    Row
	needs  []string
	ready  []mark // each time it was made ready by its dependencies
	ends   []mark // each time it ended
	kind   Kind
	from   db.Time // of the segment that is open
	due    db.Time // of what backs off or is deferred
	status tasks.Status
	sub    tasks.SubStatus
	number int // the attempt of the open segment
}

// mark is a moment with its position in the log.
type mark struct {
	position int
	at       db.Time
}

// turn closes what is open and opens what a task does from now on.
func (l *life) turn(t tasks.Task, pipelinePaused bool, at db.Time, by events.Type, lost bool) {
	l.close(at, result(by, lost))
	l.from, l.status, l.sub, l.number, l.due = at, t.Status, t.SubStatus, t.Attempt, t.RetryAt
	l.row.Status = t.Status
	if t.Status == tasks.NotStarted || t.Status == tasks.Ready && t.SubStatus != tasks.Deferred {
		l.number++
	}
	l.kind = kindOf(t, pipelinePaused, at)
}

func kindOf(t tasks.Task, pipelinePaused bool, at db.Time) Kind {
	switch {
	case t.Status.Terminal():
		return Ended
	case t.Status == tasks.NotStarted:
		return Waiting
	case t.Status == tasks.Running:
		return Running
	case pipelinePaused:
		return Paused
	case t.RetryAt.After(at.Time) && t.SubStatus == tasks.Deferred:
		return Deferred
	case t.RetryAt.After(at.Time):
		return BackingOff
	}
	return Queued
}

// close ends the open segment. What waited for its time was queued from then on.
func (l *life) close(at db.Time, result string) {
	switch {
	case l.kind == "":
		return
	case l.kind == Running:
		l.row.Segments = append(l.row.Segments, Segment{Running, l.from, at, l.number, db.Text(result)})
		return
	case (l.kind == BackingOff || l.kind == Deferred) && l.due.Before(at.Time):
		l.add(l.kind, l.from, l.due)
		l.add(Queued, l.due, at)
		return
	}
	l.add(l.kind, l.from, at)
}

// add leaves out what took no time: a task that is skipped with the end of its dependency, for one.
func (l *life) add(k Kind, from, to db.Time) {
	if from.Equal(to.Time) {
		return
	}
	l.row.Segments = append(l.row.Segments, Segment{Kind: k, From: from, To: to, Attempt: l.number})
}

// result is how an event of this type ends an attempt.
func result(by events.Type, lost bool) string {
	switch by {
	case events.TaskCompleted:
		return string(tasks.Completed)
	case events.TaskFailed, events.TaskRetryScheduled:
		return string(tasks.Failed)
	case events.TaskDeferred:
		return ResultDeferred
	case events.TaskAbandoned:
		return string(tasks.Abandoned)
	case events.TaskCancelled:
		return string(tasks.Cancelled)
	case events.TaskReset:
		if lost {
			return ResultLost
		}
		return ResultReleased
	}
	return ""
}
