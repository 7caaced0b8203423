package workers

import (
	"context"
	"sync"
	"time"

	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/platform/db"
)

// remembered bounds the beginnings that a process keeps in mind. What it forgets it asks the history for.
const remembered = 10_000

// beginnings are the answers to Call.Begun. A task that polls asks each time, and its history grows with each time.
type beginnings struct {
	mu    sync.Mutex
	known map[beginning]db.Time
}

type beginning struct {
	task    db.ID
	attempt int
}

// begun makes the Begun of a call.
func (p *Pool) begun(c *pipelines.Claim) func(context.Context) (time.Time, error) {
	return func(ctx context.Context) (time.Time, error) {
		key := beginning{c.Task.ID, c.Task.Attempt}
		if at, ok := p.beginnings.get(key); ok {
			return at.Time, nil
		}
		at := c.Task.StartedAt
		if c.Resumed || c.Task.Attempt > 1 {
			var err error
			if at, err = p.tasks.Begun(ctx, c.Task); err != nil {
				return time.Time{}, err
			}
		}
		p.beginnings.keep(key, at)
		return at.Time, nil
	}
}

func (b *beginnings) get(key beginning) (db.Time, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	at, ok := b.known[key]
	return at, ok
}

func (b *beginnings) keep(key beginning, at db.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.known == nil || len(b.known) >= remembered {
		b.known = map[beginning]db.Time{}
	}
	b.known[key] = at
}
