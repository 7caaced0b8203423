// Package history reads the past of a pipeline execution from its events: its state at a moment, what became of each
// attempt, where its time went, and how two runs differ. Fold computes all of it in one pass. The package is pure: it
// works on events and rows that it is given, reads no database and writes nothing. It uses the fold that modules/audit
// compares with the rows.
package history

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/sluiceworks/sluice/modules/audit"
	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// Errors that callers act on.
var (
	// ErrBroken means that a history is incomplete or not legal.
	ErrBroken = audit.ErrHistory
	// ErrBefore means that a moment is before the execution's first event.
	ErrBefore = errors.New("the execution had not been started yet")
	// ErrNoEvent means that no event of the execution has the given number.
	ErrNoEvent = errors.New("no such event of this execution")
)

// Log is the events of one execution in an order in which they may have been committed. Each transaction's events are
// at its place or before it, and each task's and the pipeline's own events are in the order of their versions
// (docs/adr/0023). A Log is not changed after it is made.
type Log struct {
	events []events.Event
	// times is, by position, the latest created_at up to there, because a transaction that had to wait has an earlier
	// time.
	times []dbtype.Time
	// last is the last position of the events with a time, in microseconds since 1970, which belong to one
	// transaction.
	last map[int64]int
	// broken is the reason why the order of the events is not known. They are then in the order of their versions.
	broken error
}

// New orders all events of one execution, which may be given in any order. It returns ErrBroken if versions are
// missing or occur twice.
func New(list []events.Event) (*Log, error) {
	l := order(list)
	if l.broken != nil {
		return nil, l.broken
	}
	return l, nil
}

// order returns a log of all events. If they are a broken history, it says so in the field broken.
func order(list []events.Event) *Log {
	sorted := slices.Clone(list)
	slices.SortFunc(sorted, func(a, b events.Event) int { return cmp.Compare(a.SequenceNum, b.SequenceNum) })
	o := ordering{
		out: make([]events.Event, 0, len(sorted)), done: map[dbtype.ID]int64{},
		early: map[dbtype.ID]map[int64]events.Event{},
	}
	l := &Log{last: map[int64]int{}, broken: o.all(sorted)}
	l.events = o.out
	if l.broken != nil {
		slices.SortStableFunc(sorted, func(a, b events.Event) int { return cmp.Compare(versionOf(a), versionOf(b)) })
		l.events = sorted
	}
	l.times = make([]dbtype.Time, len(l.events))
	var latest dbtype.Time
	for i, e := range l.events {
		if e.CreatedAt.After(latest.Time) {
			latest = e.CreatedAt
		}
		l.times[i], l.last[e.CreatedAt.UnixMicro()] = latest, i
	}
	return l
}

// versionOf returns the version of an event, or 0 for an annotation.
func versionOf(e events.Event) int64 {
	if e.Version == nil {
		return 0
	}
	return *e.Version
}

// ordering puts events into the order of their versions, and otherwise keeps the order of their numbers.
type ordering struct {
	out   []events.Event
	done  map[dbtype.ID]int64                  // the last version so far, by task; the zero id is the pipeline
	early map[dbtype.ID]map[int64]events.Event // events that wait for an earlier version, by version
}

// all orders the events, which are sorted by their numbers. It returns ErrBroken if versions are missing or occur
// twice.
func (o *ordering) all(sorted []events.Event) error {
	for _, e := range sorted {
		if err := o.add(e); err != nil {
			return err
		}
	}
	if missing := len(sorted) - len(o.out); missing > 0 {
		return fmt.Errorf("%w: %d of its %d events have no predecessor", ErrBroken, missing, len(sorted))
	}
	return nil
}

func (o *ordering) add(e events.Event) error {
	if e.Version == nil {
		o.out = append(o.out, e)
		return nil
	}
	id := e.TaskExecutionID
	if *e.Version <= o.done[id] {
		return fmt.Errorf("%w: event %d is a second one of version %d", ErrBroken, e.SequenceNum, *e.Version)
	}
	if *e.Version > o.done[id]+1 {
		if o.early[id] == nil {
			o.early[id] = map[int64]events.Event{}
		}
		o.early[id][*e.Version] = e
		return nil
	}
	for ok := true; ok; e, ok = o.early[id][o.done[id]+1] {
		delete(o.early[id], *e.Version)
		o.done[id] = *e.Version
		o.out = append(o.out, e)
	}
	return nil
}

// Events returns the events in order. The caller must not change them.
func (l *Log) Events() []events.Event { return l.events }

// Last returns the latest time in the log and the number of its last event, or zeros for an empty log.
func (l *Log) Last() (at dbtype.Time, sequenceNum int64) {
	if len(l.events) == 0 {
		return dbtype.Time{}, 0
	}
	n := len(l.events) - 1
	return l.times[n], l.events[n].SequenceNum
}

// At returns the log at the moment when everything written at or before t had been committed. It returns ErrBefore if
// there is nothing.
func (l *Log) At(t dbtype.Time) (*Log, error) {
	upto := -1
	for i, e := range l.events {
		if !e.CreatedAt.After(t.Time) {
			upto = i
		}
	}
	if upto < 0 {
		return nil, fmt.Errorf("%w at %s", ErrBefore, t.Format(dbtype.TimeFormat))
	}
	return l.cut(upto), nil
}

// AtEvent returns the log at the moment when the transaction that wrote the event with this number had been
// committed. It returns ErrNoEvent if there is no such event.
func (l *Log) AtEvent(sequenceNum int64) (*Log, error) {
	for i, e := range l.events {
		if e.SequenceNum == sequenceNum {
			return l.cut(i), nil
		}
	}
	return nil, fmt.Errorf("%w: %d", ErrNoEvent, sequenceNum)
}

// cut keeps all events up to a position, and the remaining events of each transaction that has an event there.
func (l *Log) cut(upto int) *Log {
	for i := 0; i <= upto; i++ {
		upto = max(upto, l.last[l.events[i].CreatedAt.UnixMicro()])
	}
	c := &Log{events: l.events[:upto+1], times: l.times[:upto+1], last: map[int64]int{}}
	for i, e := range c.events {
		c.last[e.CreatedAt.UnixMicro()] = i
	}
	return c
}
