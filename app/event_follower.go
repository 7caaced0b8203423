package app

import (
	"context"
	"time"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/events/eventstore"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

const (
	reread  = time.Second     // how often a follower looks back
	settled = 5 * time.Second // assumed maximum time until a transaction of a run is visible
)

// eventFollower reads the events of one execution as they are committed, each once. A number may become visible after a
// greater one, so it regularly looks back over the last seconds.
type eventFollower struct {
	events *eventstore.Repository
	id     dbtype.ID

	highest    int64
	lookedBack time.Time // when it last looked back
	marks      []mark
	seen       map[int64]bool // above the oldest mark
}

// mark is the highest number seen at a time.
type mark struct {
	at      time.Time
	highest int64
}

func newFollower(r *eventstore.Repository, id dbtype.ID) *eventFollower {
	return &eventFollower{events: r, id: id, seen: map[int64]bool{}}
}

// skip leaves out the events that have been committed so far.
func (f *eventFollower) skip(ctx context.Context) error {
	list, err := f.events.ListByPipeline(ctx, f.id, eventstore.Page{})
	for _, e := range list {
		f.seen[e.SequenceNum] = true
		f.highest = max(f.highest, e.SequenceNum)
	}
	return err
}

// next returns new events. If back is set, it looks back, so that it misses nothing that has been committed.
func (f *eventFollower) next(ctx context.Context, now time.Time, back bool) ([]events.Event, error) {
	after := f.highest
	if back = back || now.Sub(f.lookedBack) >= reread; back {
		after = f.settle(now)
	}
	list, err := f.events.ListByPipeline(ctx, f.id, eventstore.Page{After: after})
	if err != nil {
		return nil, err
	}
	if back {
		f.lookedBack = now
	}
	var fresh []events.Event
	for _, e := range list {
		if !f.seen[e.SequenceNum] {
			f.seen[e.SequenceNum] = true
			f.highest = max(f.highest, e.SequenceNum)
			fresh = append(fresh, e)
		}
	}
	return fresh, nil
}

// settle drops numbers that are settled, and returns the number after which more events may still appear.
func (f *eventFollower) settle(now time.Time) int64 {
	f.marks = append(f.marks, mark{now, f.highest})
	for len(f.marks) > 1 && now.Sub(f.marks[1].at) >= settled {
		f.marks = f.marks[1:]
	}
	low := int64(0)
	if now.Sub(f.marks[0].at) >= settled {
		low = f.marks[0].highest
	}
	for n := range f.seen {
		if n <= low {
			delete(f.seen, n)
		}
	}
	return low
}
