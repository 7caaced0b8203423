package workers

import (
	"context"
	"sync"
	"time"

	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// maxStartTimes limits the cached start times. When the cache is full it is cleared, and times are read from the
// history.
const maxStartTimes = 10_000

// startTimeCache caches the results of Attempt.FirstStarted. A task that polls asks for its start time on each call,
// and its history grows with each call.
type startTimeCache struct {
	mu    sync.Mutex
	known map[startTimeKey]dbtype.Time
}

type startTimeKey struct {
	task    dbtype.ID
	attempt int
}

// firstStarted returns the function Attempt.FirstStarted for a claim.
func (p *Pool) firstStarted(c *pipelines.Claim) func(context.Context) (time.Time, error) {
	return func(ctx context.Context) (time.Time, error) {
		key := startTimeKey{c.Task.ID, c.Task.Attempt}
		if at, ok := p.startTimes.get(key); ok {
			return at.Time, nil
		}
		at := c.Task.StartedAt
		if c.Resumed || c.Task.Attempt > 1 {
			var err error
			if at, err = p.tasks.FirstStartedAt(ctx, c.Task); err != nil {
				return time.Time{}, err
			}
		}
		p.startTimes.put(key, at)
		return at.Time, nil
	}
}

func (b *startTimeCache) get(key startTimeKey) (dbtype.Time, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	at, ok := b.known[key]
	return at, ok
}

func (b *startTimeCache) put(key startTimeKey, at dbtype.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.known == nil || len(b.known) >= maxStartTimes {
		b.known = map[startTimeKey]dbtype.Time{}
	}
	b.known[key] = at
}
