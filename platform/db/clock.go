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
	base   time.Time // the database's time
	anchor time.Time // this machine's time at the same moment
}

func (c *clock) set(base, anchor time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.base, c.anchor = base, anchor
}

func (c *clock) now() time.Time {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.base.Add(time.Since(c.anchor)).UTC().Truncate(time.Microsecond)
}
