package events

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/sluiceworks/sluice/platform/db"
)

// TailOptions say what a tail gives. The zero value is everything.
type TailOptions struct {
	Filter Filter       // its execution, task, type and Since choose; the order and the rest of the page are the tail's own
	Batch  int          // at most so many events at once; 0: 500
	Notice func(Notice) // is told why nothing comes; nil: nobody is. It is called between batches, on the reader's goroutine
}

// Tailed is an event with the place behind it.
type Tailed struct {
	Event
	Cursor Cursor `json:"cursor"`
}

// Batch is some events in their order, and the place up to which all that the filter chooses has been given. A batch may have
// no events and yet a new place.
type Batch struct {
	Events []Tailed
	Cursor Cursor
}

// NoticeKind is what a Notice tells.
type NoticeKind int

const (
	// Disconnected is that the database has gone (Err). The tail tries to reach it again until it does.
	Disconnected NoticeKind = iota
	// Reconnected is that it is there again.
	Reconnected
	// HeldBack is that committed events wait (for Lag so far) behind open transactions (Held), which may have earlier ones.
	HeldBack
	// Released is that they wait no more.
	Released
)

// Notice is why nothing comes, or that it goes on. Nothing is lost meanwhile.
type Notice struct {
	Kind NoticeKind
	Err  error
	Lag  time.Duration
	Held []db.Session
}

// Tail gives every committed event behind a place once, and goes on with those that are committed later, until ctx ends (the
// last error is ctx.Err) or the reader breaks off. The order is sequence_num, which is each task's and each pipeline's own order
// and has every event behind its causes. What a reader has not taken yet is not read: a slow one costs nobody anything.
//
// A database that goes away is waited for, once it has been reached. A place of another history is a *HistoryError.
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

// tail is a reader's place and its connection.
type tail struct {
	repository *Repository
	options    TailOptions

	cursor   Cursor
	scanned  int64 // up to here this connection has read; from cursor on there may be nothing that the filter chooses
	settled  int64 // by the last look on this connection
	frontier *db.Frontier
	history  uint64
	reached  bool // the database has been reached before
	failures int  // in a row
	told     bool // that events are held back
	toldAt   time.Time
}

// How often a tail looks. A look that finds nothing new costs one statement that reads a single row.
const (
	idle    = 20 * time.Millisecond
	waiting = 5 * time.Millisecond // for open transactions, at first
	briefly = 100 * time.Millisecond
)

const (
	patience    = time.Minute     // with one look and one read
	longestPark = 2 * time.Second // between tries to reach the database
	lagToTell   = 3 * time.Second
	tellAgain   = 30 * time.Second
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
			wait = t.lost(err)
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

// step reads what is known to be there, and looks for more if that is nothing. wait is how long to wait if that was nothing.
func (t *tail) step(ctx context.Context) (list []Tailed, wait time.Duration, err error) {
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := t.open(limited); err != nil {
		return nil, 0, err
	}
	if t.scanned < t.settled {
		list, err = t.read(limited)
		return list, 0, err
	}
	m, err := t.frontier.Look(limited)
	if err != nil {
		return nil, 0, err
	}
	t.tellLag(limited, m)
	if t.settled = m.Settled; t.scanned < t.settled {
		list, err = t.read(limited)
		return list, 0, err
	}
	if !m.Since.IsZero() && t.repository.db.Now().Sub(m.Since) < briefly {
		return nil, waiting, nil
	}
	return nil, idle, nil
}

// open connects, and sees to it that the place is one of this history: it may be another one each time.
func (t *tail) open(ctx context.Context) (err error) {
	if t.frontier != nil {
		return nil
	}
	f, err := t.repository.db.Frontier(ctx, "execution_events", "sequence_num")
	if err != nil {
		return err
	}
	t.frontier, t.history = f, fingerprint(f.History())
	if err := t.check(ctx); err != nil {
		t.close()
		return err
	}
	// What was read behind the cursor without an event is read again: a server that crashed may give such numbers anew.
	t.scanned, t.settled = t.cursor.sequence, 0
	if t.failures > 0 {
		t.options.Notice(Notice{Kind: Reconnected})
	}
	t.reached, t.failures = true, 0
	return nil
}

func (t *tail) close() {
	if t.frontier != nil {
		_ = t.frontier.Close() // what was read is complete, and the connection may be broken
		t.frontier = nil
	}
}

// lost gives the connection up, and says how long to wait before the next try.
func (t *tail) lost(err error) time.Duration {
	t.close()
	if t.failures == 0 {
		t.options.Notice(Notice{Kind: Disconnected, Err: err})
	}
	t.failures++
	return min(idle<<min(t.failures, 10), longestPark)
}

// tellLag tells who holds events back, if it lasts.
func (t *tail) tellLag(ctx context.Context, m db.Mark) {
	now := t.repository.db.Now()
	switch lag := now.Sub(m.Since); {
	case m.Since.IsZero() || lag < lagToTell:
		if t.told {
			t.told = false
			t.options.Notice(Notice{Kind: Released})
		}
	case !t.told || now.Sub(t.toldAt) >= tellAgain:
		t.told, t.toldAt = true, now
		h, err := t.repository.db.Horizon(ctx, "execution_events")
		t.options.Notice(Notice{Kind: HeldBack, Lag: lag, Held: h.Writers, Err: err})
	}
}

// End returns the place behind all that has its number by now: a tail from there gives what gets one later. It waits for the transactions
// that are open now, whose events may have smaller numbers, and tells notice of them as a tail does.
func (r *Repository) End(ctx context.Context, notice func(Notice)) (Cursor, error) {
	t := &tail{repository: r, options: TailOptions{Notice: notice}}
	defer t.close()
	if err := t.open(ctx); err != nil {
		return Cursor{}, err
	}
	for end := int64(-1); ; {
		m, err := t.frontier.Look(ctx)
		if err != nil {
			return Cursor{}, err
		}
		t.tellLag(ctx, m)
		if end < 0 {
			end = m.Issued
		}
		if m.Settled >= end {
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
