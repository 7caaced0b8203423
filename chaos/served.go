package chaos

import (
	"slices"
	"time"
)

// servedClock measures the time in which a worker could work, because one had a valid lease. What waits while there is
// none, such as on a machine that is too slow to start workers as fast as they are killed, is not stuck.
type servedClock struct {
	last    time.Time
	served  time.Duration
	samples []servedSample // in ascending order
}

type servedSample struct {
	at     time.Time
	served time.Duration
}

// add records whether a worker has a valid lease now. The time since the last call counts as served if it does.
func (c *servedClock) add(now time.Time, served bool) {
	if served && !c.last.IsZero() {
		c.served += now.Sub(c.last)
	}
	c.last = now
	c.samples = append(c.samples, servedSample{now, c.served})
}

// since returns the latest time since which the given time has been served. It is zero if not so much has been.
func (c *servedClock) since(limit time.Duration) (at time.Time) {
	i := 0
	for i+1 < len(c.samples) && c.samples[i+1].served <= c.served-limit {
		i++
	}
	if len(c.samples) == 0 || c.samples[i].served > c.served-limit {
		return time.Time{}
	}
	c.samples = slices.Delete(c.samples, 0, i)
	return c.samples[0].at
}
