package outbox

import (
	"cmp"
	"strconv"
	"sync"
	"time"

	"github.com/sluiceworks/sluice/platform/db"
)

// ScanCursors remembers where the rows of each lane begin. An index entry of a row that has been taken stays until no
// transaction of the server is older than that: behind a backup or a report that runs for an hour, a look from the
// beginning would pass by all that was taken in that hour. So a look begins where the last one found the head, and now
// and then at the beginning, for rows that were committed late. The zero value knows nothing; it is safe for concurrent
// use.
type ScanCursors struct {
	mu          sync.Mutex
	lowWater    map[lane]db.Time
	next        time.Time // of the next look from the beginning
	incremental bool      // the last look did not begin at the beginning
	resets      int       // how often Forget was called: what was learnt before does not count
}

type lane struct {
	queue  string
	number int
}

const (
	// clockSlack is how much later than its due time another process's row is expected to be committed, and by how much
	// clocks differ.
	clockSlack = 200 * time.Millisecond
	// fullScanInterval is the least time between looks from the beginning; a long one is repeated after twenty times
	// its length.
	fullScanInterval, fullScanBackoff = time.Second, 20
)

// Reset makes the next look begin at the beginning.
func (h *ScanCursors) Reset() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lowWater, h.next = nil, time.Time{}
	h.resets++
}

// NextFullScanIn is how long it is until a look from the beginning, if the last one was none.
func (h *ScanCursors) NextFullScanIn(now time.Time) (rest time.Duration, partial bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.next.Sub(now), h.incremental
}

// scan is one look at the outbox.
type scan struct {
	cursors *ScanCursors
	full    bool
	began   time.Time
	forgets int
	settled db.Time // no transaction of this process that is still open can add rows due before
}

// begin begins a look; nil heads remember nothing.
func (h *ScanCursors) begin(now, settled db.Time) *scan {
	if h == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	l := &scan{cursors: h, began: now.Time, forgets: h.resets, settled: settled}
	if !now.Before(h.next) {
		l.full, h.next = true, now.Add(fullScanInterval)
	}
	h.incremental = !l.full
	return l
}

// from is where a lane is looked at from.
func (l *scan) from(of lane) db.Time {
	if l == nil || l.full {
		return earliest
	}
	l.cursors.mu.Lock()
	defer l.cursors.mu.Unlock()
	return cmp.Or(l.cursors.lowWater[of], earliest)
}

// bound is the condition on a row of a lane to be looked at.
func (l *scan) bound(args db.Args, of lane) string {
	if l == nil {
		return ""
	}
	name := "from" + strconv.Itoa(len(args))
	args[name] = l.from(of)
	return " AND available_at >= $" + name
}

// earliest is before all rows: the beginning of the count of days.
var earliest = db.NewTime(time.Unix(1, 0))

// backoff puts off the next look from the beginning after a long one. Callers hold the lock.
func (l *scan) backoff(ended time.Time) {
	if l.full {
		l.cursors.next = ended.Add(max(fullScanInterval, fullScanBackoff*ended.Sub(l.began)))
	}
}

// recordEmpty notes the end of a look that took nothing; due: it saw a row that is due, and the next one must not begin
// behind it.
func (l *scan) recordEmpty(ended time.Time, due bool) {
	if l == nil {
		return
	}
	if due && l.full {
		l.cursors.Reset()
		return
	}
	l.cursors.mu.Lock()
	defer l.cursors.mu.Unlock()
	l.backoff(ended)
}

// recordRows draws the conclusions: last is the last row found of each lane; a lane without any is empty, unless full
// says that the look may not have come to it.
func (l *scan) recordRows(ended time.Time, queues []string, last map[lane]db.Time, full bool) {
	h := l.cursors
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.resets != l.forgets {
		return
	}
	l.backoff(ended)
	if h.lowWater == nil {
		h.lowWater = map[lane]db.Time{}
	}
	for _, queue := range queues {
		for number := range laneCount {
			key := lane{queue, number}
			at, some := last[key]
			if !some && full {
				continue
			}
			if !some || at.After(l.settled.Time) {
				at = l.settled
			}
			h.lowWater[key] = db.NewTime(at.Add(-clockSlack))
		}
	}
}
