package outbox

import (
	"cmp"
	"strconv"
	"sync"
	"time"

	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// ScanCursors stores for each lane where the next scan may begin. The index entry of a deleted row stays until all
// transactions that are older than its deletion have ended. During a backup or a report of one hour, each scan from the
// beginning would pass all rows deleted in that hour. Therefore the scan of a lane begins at the due time of the last
// claimed row, less clockSlack. At intervals, a full scan begins at the beginning, to find rows that were committed
// late.
//
// The zero value is ready to use. ScanCursors is safe for concurrent use.
type ScanCursors struct {
	mu          sync.Mutex
	lowWater    map[lane]dbtype.Time
	next        time.Time // time of the next full scan
	incremental bool      // the last scan was not a full one
	resets      int       // number of calls of Reset; a scan that began before the last one records nothing
}

type lane struct {
	queue  string
	number int
}

const (
	// clockSlack is the expected maximum of two delays together: from a row's due time to its commit by another
	// process, and the difference between clocks.
	clockSlack = 200 * time.Millisecond
	// fullScanInterval is the minimum time between two full scans. After a long full scan, the next one waits for
	// fullScanBackoff times its duration.
	fullScanInterval, fullScanBackoff = time.Second, 20
)

// Reset makes the next scan a full scan.
func (h *ScanCursors) Reset() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lowWater, h.next = nil, time.Time{}
	h.resets++
}

// NextFullScanIn returns the time until the next full scan is due. partial reports whether the last scan was not a full
// one.
func (h *ScanCursors) NextFullScanIn(now time.Time) (rest time.Duration, partial bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.next.Sub(now), h.incremental
}

// scan is one scan of the outbox.
type scan struct {
	cursors *ScanCursors
	full    bool
	began   time.Time
	resets  int
	settled dbtype.Time // open transactions of this process add no rows due before this time
}

// begin begins a scan. If h is nil, the result is nil, which is a full scan that records nothing.
func (h *ScanCursors) begin(now, settled dbtype.Time) *scan {
	if h == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	l := &scan{cursors: h, began: now.Time, resets: h.resets, settled: settled}
	if !now.Before(h.next) {
		l.full, h.next = true, now.Add(fullScanInterval)
	}
	h.incremental = !l.full
	return l
}

// from returns the due time at which the scan of a lane begins.
func (l *scan) from(of lane) dbtype.Time {
	if l == nil || l.full {
		return earliest
	}
	l.cursors.mu.Lock()
	defer l.cursors.mu.Unlock()
	return cmp.Or(l.cursors.lowWater[of], earliest)
}

// bound returns the SQL condition that limits the scan of a lane, and adds its argument to args.
func (l *scan) bound(args db.Args, of lane) string {
	if l == nil {
		return ""
	}
	name := "from" + strconv.Itoa(len(args))
	args[name] = l.from(of)
	return " AND available_at >= $" + name
}

// earliest is before the due time of all rows.
var earliest = dbtype.NewTime(time.Unix(1, 0))

// backoff delays the next full scan after a long one. Callers hold mu.
func (l *scan) backoff(ended time.Time) {
	if l.full {
		l.cursors.next = ended.Add(max(fullScanInterval, fullScanBackoff*ended.Sub(l.began)))
	}
}

// recordEmpty records the end of a scan without moving a cursor. due reports whether it saw a due row. After a full
// scan that did, the next scan is full too, so that it does not begin after this row.
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

// recordRows records the cursors after a claim. last has the due time of the last claimed row of each lane. A lane
// without a row is empty, unless full says that the limit was reached before the scan came to it.
func (l *scan) recordRows(ended time.Time, queues []string, last map[lane]dbtype.Time, full bool) {
	h := l.cursors
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.resets != l.resets {
		return
	}
	l.backoff(ended)
	if h.lowWater == nil {
		h.lowWater = map[lane]dbtype.Time{}
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
			h.lowWater[key] = dbtype.NewTime(at.Add(-clockSlack))
		}
	}
}
