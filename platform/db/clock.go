package db

import (
	"sync"
	"time"
)

// Skew returns how far this machine's clock was ahead of the database's clock at the last SyncClock.
func (d *DB) Skew() time.Duration {
	d.clock.mu.RLock()
	defer d.clock.mu.RUnlock()
	return d.clock.anchor.Round(0).Sub(d.clock.base)
}

// clock continues a reading of the database's clock with the monotonic clock, so that a jump of this machine's time
// has no effect.
type clock struct {
	mu     sync.RWMutex
	base   time.Time     // the database's time
	anchor time.Time     // this machine's time at the same moment
	ahead  time.Duration // the sum of AdvanceClock
}

func (c *clock) set(base, anchor time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.base, c.anchor = base, anchor
}

func (c *clock) now() time.Time {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.base.Add(time.Since(c.anchor) + c.ahead).UTC().Truncate(time.Microsecond)
}

// AdvanceClock makes Now, and so the time of later transactions, later by the given duration, in addition to earlier
// calls. It affects only this DB, and SyncClock does not undo it. It is for tests that do not wait until something is
// due; other processes would see times in the future. It panics if the duration is negative, because no transaction
// may have an earlier time than one before.
func (d *DB) AdvanceClock(by time.Duration) {
	if by < 0 {
		panic("the clock of a database cannot be set back")
	}
	d.clock.mu.Lock()
	defer d.clock.mu.Unlock()
	d.clock.ahead += by
}
