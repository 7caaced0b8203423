package eventstore

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/platform/db"
)

// TailOptions configure a tail. The zero value selects all events.
type TailOptions struct {
	Filter Filter // selects by execution, task, type and Since; order and the rest of Page are ignored
	Batch  int    // maximum number of events in a batch; 0: 500
	// Notice is called when events are delayed and when they continue; it may be nil. It is called between batches,
	// on the reader's goroutine.
	Notice func(Notice)
}

// TailedEvent is an event with the position after it.
type TailedEvent struct {
	events.Event
	Cursor Cursor `json:"cursor"`
}

// Batch is some events in their order, and the position up to which all selected events have been returned. A batch
// may have no events and still a new position.
type Batch struct {
	Events []TailedEvent
	Cursor Cursor
}

// NoticeKind is the kind of a Notice.
type NoticeKind int

const (
	// Disconnected means that the database cannot be reached (Err). The tail tries to reconnect until it succeeds.
	Disconnected NoticeKind = iota
	// Reconnected means that the database can be reached again.
	Reconnected
	// Blocked means that committed events have waited (for Lag so far) for open transactions (Held), which may still
	// commit events with smaller numbers.
	Blocked
	// Unblocked means that events no longer wait.
	Unblocked
)

// Notice says why no events arrive, or that they continue. No event is lost in between.
type Notice struct {
	Kind     NoticeKind
	Err      error
	Lag      time.Duration
	Blockers []db.Session
}

// Tail returns every committed event after a position once, and continues with events that are committed later, until
// ctx ends (the last error is ctx.Err) or the reader stops. The order is sequence_num, which is the order of each
// task's and each pipeline's events, and puts every event after its causes. Events are read when the reader asks for
// them, so a slow reader costs others nothing.
//
// If the database fails after it has been reached, the tail reconnects. For a position of another history the error
// is a *CursorMismatchError.
func (r *Repository) Tail(ctx context.Context, from Cursor, o TailOptions) iter.Seq2[Batch, error] {
	if o.Batch <= 0 {
		o.Batch = 500
	}
	if o.Notice == nil {
		o.Notice = func(Notice) {}
	}
	return func(yield func(Batch, error) bool) {
		t := &tail{repository: r, options: o, cursor: from}
		defer t.close()
		for {
			b, err := t.next(ctx)
			if !yield(b, err) || err != nil {
				return
			}
		}
	}
}

// tail is a reader's position and its connection.
type tail struct {
	repository *Repository
	options    TailOptions

	cursor      Cursor
	scanned     int64 // read so far on this connection; between cursor and scanned there may be no selected event
	safe        int64 // from the last look on this connection
	watermark   *db.Watermark
	history     uint64
	reached     bool // the database has been reached before
	failures    int  // in a row
	reportedLag bool // whether Blocked was reported
	reportedAt  time.Time
}

// How long a tail waits between polls. A poll that finds nothing new costs one statement that reads a single row.
const (
	idle      = 20 * time.Millisecond
	waiting   = 5 * time.Millisecond // for open transactions, at first
	shortWait = 100 * time.Millisecond
)

const (
	queryTimeout      = time.Minute     // for one poll and one read
	maxReconnectDelay = 2 * time.Second // between attempts to reconnect
	reportLagAfter    = 3 * time.Second
	reportLagEvery    = 30 * time.Second
)

// next waits for a batch.
func (t *tail) next(ctx context.Context) (Batch, error) {
	for {
		before := t.cursor
		list, wait, err := t.step(ctx)
		switch {
		case ctx.Err() != nil:
			return Batch{}, ctx.Err()
		case err == nil && t.cursor != before:
			return Batch{Events: list, Cursor: t.cursor}, nil
		case err != nil && !(t.reached && errors.Is(err, db.ErrUnavailable)):
			return Batch{}, err
		case err != nil:
			wait = t.disconnected(err)
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return Batch{}, ctx.Err()
		case <-timer.C:
		}
	}
}

// step reads events that are known to be settled, and polls for more if there are none. wait is how long to wait
// before the next step.
func (t *tail) step(ctx context.Context) (list []TailedEvent, wait time.Duration, err error) {
	limited, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	if err := t.open(limited); err != nil {
		return nil, 0, err
	}
	if t.scanned < t.safe {
		list, err = t.read(limited)
		return list, 0, err
	}
	m, err := t.watermark.Advance(limited)
	if err != nil {
		return nil, 0, err
	}
	t.reportLag(limited, m)
	if t.safe = m.Safe; t.scanned < t.safe {
		list, err = t.read(limited)
		return list, 0, err
	}
	if !m.BlockedSince.IsZero() && t.repository.db.Now().Sub(m.BlockedSince) < shortWait {
		return nil, waiting, nil
	}
	return nil, idle, nil
}

// open connects, and checks that the position belongs to this history, because each connection may lead to another
// one.
func (t *tail) open(ctx context.Context) (err error) {
	if t.watermark != nil {
		return nil
	}
	f, err := t.repository.db.Watermark(ctx, "execution_events", "sequence_num")
	if err != nil {
		return err
	}
	t.watermark, t.history = f, fingerprint(f.History())
	if err := t.check(ctx); err != nil {
		t.close()
		return err
	}
	// Numbers after the cursor that had no event are read again, because a server that crashed may issue them again.
	t.scanned, t.safe = t.cursor.sequence, 0
	if t.failures > 0 {
		t.options.Notice(Notice{Kind: Reconnected})
	}
	t.reached, t.failures = true, 0
	return nil
}

func (t *tail) close() {
	if t.watermark != nil {
		_ = t.watermark.Close() // everything was read, and the connection may be broken
		t.watermark = nil
	}
}

// disconnected closes the connection, and returns how long to wait before the next attempt.
func (t *tail) disconnected(err error) time.Duration {
	t.close()
	if t.failures == 0 {
		t.options.Notice(Notice{Kind: Disconnected, Err: err})
	}
	t.failures++
	return min(idle<<min(t.failures, 10), maxReconnectDelay)
}

// reportLag sends a notice of the transactions that hold events back, if the delay lasts.
func (t *tail) reportLag(ctx context.Context, m db.Position) {
	now := t.repository.db.Now()
	switch lag := now.Sub(m.BlockedSince); {
	case m.BlockedSince.IsZero() || lag < reportLagAfter:
		if t.reportedLag {
			t.reportedLag = false
			t.options.Notice(Notice{Kind: Unblocked})
		}
	case !t.reportedLag || now.Sub(t.reportedAt) >= reportLagEvery:
		t.reportedLag, t.reportedAt = true, now
		h, err := t.repository.db.OpenTransactions(ctx, "execution_events")
		t.options.Notice(Notice{Kind: Blocked, Lag: lag, Blockers: h.Blocking, Err: err})
	}
}

// End returns the position after all numbers that have been issued so far: a tail from there returns the events that
// get a later number. It waits for the transactions that are open now, whose events may have smaller numbers, and
// calls notice like a tail.
func (r *Repository) End(ctx context.Context, notice func(Notice)) (Cursor, error) {
	t := &tail{repository: r, options: TailOptions{Notice: notice}}
	defer t.close()
	if err := t.open(ctx); err != nil {
		return Cursor{}, err
	}
	for end := int64(-1); ; {
		m, err := t.watermark.Advance(ctx)
		if err != nil {
			return Cursor{}, err
		}
		t.reportLag(ctx, m)
		if end < 0 {
			end = m.Allocated
		}
		if m.Safe >= end {
			err = t.pass(ctx, end)
			return t.cursor, err
		}
		timer := time.NewTimer(waiting)
		select {
		case <-ctx.Done():
			timer.Stop()
			return Cursor{}, ctx.Err()
		case <-timer.C:
		}
	}
}
