package history

import (
	"time"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// Kind is what a task does during a segment.
type Kind string

// The kinds together cover the time from a task's creation to its end.
const (
	Waiting    Kind = "waiting"     // for its dependencies
	Queued     Kind = "queued"      // due, and not claimed yet
	Running    Kind = "running"     // held by a worker
	BackingOff Kind = "backing_off" // until the next attempt is due
	Deferred   Kind = "deferred"    // until the time that its handler chose
	Paused     Kind = "paused"      // ready, in a pipeline that is paused
	Ended      Kind = "ended"       // until an operator's retry reopened it
)

// Kinds returns every kind, in the order of a task's life.
func Kinds() []Kind { return []Kind{Waiting, Queued, Running, BackingOff, Deferred, Paused, Ended} }

// Results of running segments that are not statuses of a task.
const (
	ResultDeferred   = "Deferred"
	ResultWorkerLost = "Lost"     // with its worker
	ResultReleased   = "Released" // by its worker, unfinished
)

// Segment is a period of a task's life. The segments of a task follow each other without a gap, except that segments
// without length are left out.
type Segment struct {
	Kind    Kind        `json:"kind"`
	From    dbtype.Time `json:"from"`
	To      dbtype.Time `json:"to"`      // the moment of the report if the segment has not ended
	Attempt int         `json:"attempt"` // the current attempt, or else the next one; after the end the last one
	// Result is set for a running segment that has ended: Completed, Failed, Deferred, Lost, Released, Abandoned or
	// Cancelled.
	Result dbtype.Text `json:"result"`
}

// Duration returns the segment's length.
func (s Segment) Duration() time.Duration { return s.To.Sub(s.From.Time) }

// taskLife collects what the events say about one task.
type taskLife struct {
	TaskRecord

	row    TaskTimeline
	ready  []mark // each time its dependencies made it ready
	ends   []mark // each time it ended
	kind   Kind
	from   dbtype.Time // of the open segment
	due    dbtype.Time // when a task that backs off or is deferred is due
	status tasks.Status
	sub    tasks.SubStatus
	number int // the attempt of the open segment
}

// mark is a time with its position in the log.
type mark struct {
	position int
	at       dbtype.Time
}

// transition closes the open segment and opens the next one.
func (l *taskLife) transition(t tasks.Task, pipelinePaused bool, at dbtype.Time, by events.Type, lost bool) {
	l.close(at, result(by, lost))
	l.from, l.status, l.sub, l.number, l.due = at, t.Status, t.SubStatus, t.Attempt, t.RetryAt
	l.row.Status = t.Status
	if t.Status == tasks.NotStarted || t.Status == tasks.Ready && t.SubStatus != tasks.Deferred {
		l.number++
	}
	l.kind = kindOf(t, pipelinePaused, at)
}

func kindOf(t tasks.Task, pipelinePaused bool, at dbtype.Time) Kind {
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

// close ends the open segment. A task that backed off or was deferred counts as queued from the time at which it was
// due.
func (l *taskLife) close(at dbtype.Time, result string) {
	switch {
	case l.kind == "":
		return
	case l.kind == Running:
		l.row.Segments = append(l.row.Segments, Segment{Running, l.from, at, l.number, dbtype.Text(result)})
		return
	case (l.kind == BackingOff || l.kind == Deferred) && l.due.Before(at.Time):
		l.add(l.kind, l.from, l.due)
		l.add(Queued, l.due, at)
		return
	}
	l.add(l.kind, l.from, at)
}

// add adds a segment unless it has no length, such as the wait of a task that is skipped when its dependency ends.
func (l *taskLife) add(k Kind, from, to dbtype.Time) {
	if from.Equal(to.Time) {
		return
	}
	l.row.Segments = append(l.row.Segments, Segment{Kind: k, From: from, To: to, Attempt: l.number})
}

// result returns how an event of a type ends an attempt, or "" if it is not known to.
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
			return ResultWorkerLost
		}
		return ResultReleased
	}
	return ""
}
