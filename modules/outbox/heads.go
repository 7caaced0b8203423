package outbox

import (
	"cmp"
	"strconv"
	"sync"
	"time"

	"github.com/sluiceworks/sluice/platform/db"
)

// Heads remembers where the rows of each lane begin. An index entry of a row that has been taken stays until no transaction of the
// server is older than that: behind a backup or a report that runs for an hour, a look from the beginning would pass by all that was
// taken in that hour. So a look begins where the last one found the head, and now and then at the beginning, for rows that were
// committed late. The zero value knows nothing; it is safe for concurrent use.
type Heads struct {
	mu      sync.Mutex
	floor   map[lane]db.Time
	next    time.Time // of the next look from the beginning
	partial bool      // the last look did not begin at the beginning
	forgets int       // how often Forget was called: what was learnt before does not count
}

type lane struct {
	queue  string
	number int
}

const (
	// late is how much later than its due time another process's row is expected to be committed, and by how much clocks differ.
	late = 200 * time.Millisecond
	// fromStart is the least time between looks from the beginning; a long one is repeated after twenty times its length.
	fromStart, rest = time.Second, 20
)

// Forget makes the next look begin at the beginning.
func (h *Heads) Forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.floor, h.next = nil, time.Time{}
	h.forgets++
}

// Rest is how long it is until a look from the beginning, if the last one was none.
func (h *Heads) Rest(now time.Time) (rest time.Duration, partial bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.next.Sub(now), h.partial
}

// look is one look at the outbox.
type look struct {
	heads   *Heads
	whole   bool
	began   time.Time
	forgets int
	settled db.Time // no transaction of this process that is still open can add rows due before
}

// begin begins a look; nil heads remember nothing.
func (h *Heads) begin(now, settled db.Time) *look {
	if h == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	l := &look{heads: h, began: now.Time, forgets: h.forgets, settled: settled}
	if !now.Before(h.next) {
		l.whole, h.next = true, now.Add(fromStart)
	}
	h.partial = !l.whole
	return l
}

// from is where a lane is looked at from.
func (l *look) from(of lane) db.Time {
	if l == nil || l.whole {
		return earliest
	}
	l.heads.mu.Lock()
	defer l.heads.mu.Unlock()
	return cmp.Or(l.heads.floor[of], earliest)
}

// bound is the condition on a row of a lane to be looked at.
func (l *look) bound(args db.Args, of lane) string {
	if l == nil {
		return ""
	}
	name := "from" + strconv.Itoa(len(args))
	args[name] = l.from(of)
	return " AND available_at >= $" + name
}

// earliest is before all rows: the beginning of the count of days.
var earliest = db.At(time.Unix(1, 0))

// rest puts off the next look from the beginning after a long one. Callers hold the lock.
func (l *look) rest(ended time.Time) {
	if l.whole {
		l.heads.next = ended.Add(max(fromStart, rest*ended.Sub(l.began)))
	}
}

// saw notes the end of a look that took nothing; due: it saw a row that is due, and the next one must not begin behind it.
func (l *look) saw(ended time.Time, due bool) {
	if l == nil {
		return
	}
	if due && l.whole {
		l.heads.Forget()
		return
	}
	l.heads.mu.Lock()
	defer l.heads.mu.Unlock()
	l.rest(ended)
}

// found draws the conclusions: last is the last row found of each lane; a lane without any is empty, unless full says that the look
// may not have come to it.
func (l *look) found(ended time.Time, queues []string, last map[lane]db.Time, full bool) {
	h := l.heads
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.forgets != l.forgets {
		return
	}
	l.rest(ended)
	if h.floor == nil {
		h.floor = map[lane]db.Time{}
	}
	for _, queue := range queues {
		for number := range lanes {
			key := lane{queue, number}
			at, some := last[key]
			if !some && full {
				continue
			}
			if !some || at.After(l.settled.Time) {
				at = l.settled
			}
			h.floor[key] = db.At(at.Add(-late))
		}
	}
}
