package eventstore

import (
	"context"
	"time"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// rereadInterval is how often a Follower looks for events whose numbers are smaller than those that it has returned.
const rereadInterval = time.Second

// Follower returns the events of one execution as they are committed, each once. Unlike Tail it does not wait for open
// transactions that may commit events with smaller numbers: those events come when they are committed. So the order is
// that of each task, but not that between tasks. It suits a reader who watches, and Tail one who keeps what it reads.
//
// It is not safe for concurrent use.
type Follower struct {
	repository *Repository
	id         dbtype.ID
	watermark  *db.Watermark
	safe       int64          // all events up to this number have been returned
	highest    int64          // the greatest number that has been returned
	seen       map[int64]bool // the numbers above safe that have been returned
	rereadAt   time.Time
}

// Follow returns a follower of the events with numbers greater than after. The caller must close it.
func (r *Repository) Follow(id dbtype.ID, after int64) *Follower {
	return &Follower{repository: r, id: id, safe: after, highest: after, seen: map[int64]bool{}}
}

// Next returns events that were committed since the last call, in the order of their numbers. If all is set, it returns
// all of them; otherwise one with a smaller number than those returned before may come up to a second later. After an
// error, it can be called again, and misses nothing.
func (f *Follower) Next(ctx context.Context, all bool) ([]events.Event, error) {
	now := f.repository.db.Now()
	if !all && now.Sub(f.rereadAt) < rereadInterval {
		return f.read(ctx, f.highest)
	}
	safe, err := f.advance(ctx) // first, so that everything up to safe is visible below
	if err != nil {
		return nil, err
	}
	list, err := f.read(ctx, f.safe)
	if err != nil {
		return nil, err
	}
	f.safe, f.rereadAt = max(f.safe, safe), now
	for n := range f.seen {
		if n <= f.safe {
			delete(f.seen, n)
		}
	}
	return list, nil
}

// advance returns the number up to which all events are visible.
func (f *Follower) advance(ctx context.Context) (int64, error) {
	if f.watermark == nil {
		w, err := f.repository.db.Watermark(ctx, "execution_events", "sequence_num")
		if err != nil {
			return 0, err
		}
		f.watermark = w
	}
	position, err := f.watermark.Advance(ctx)
	if err != nil {
		f.Close() // the next call connects again
	}
	return position.Safe, err
}

// read returns the events after a number that have not been returned.
func (f *Follower) read(ctx context.Context, after int64) ([]events.Event, error) {
	list, err := f.repository.ListByPipeline(ctx, f.id, Page{After: after})
	var fresh []events.Event
	for _, e := range list {
		if !f.seen[e.SequenceNum] {
			f.seen[e.SequenceNum] = true
			f.highest = max(f.highest, e.SequenceNum)
			fresh = append(fresh, e)
		}
	}
	return fresh, err
}

// Close closes the follower's connection.
func (f *Follower) Close() {
	if f.watermark != nil {
		_ = f.watermark.Close() // everything was read, and the connection may be broken
		f.watermark = nil
	}
}
