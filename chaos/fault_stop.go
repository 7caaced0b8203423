package chaos

import (
	"context"
	"time"
)

// immediate stops PostgreSQL without warning and starts it again.
type immediate struct {
	since time.Time
}

func (*immediate) name() string { return "immediate stop" }

func (f *immediate) apply(ctx context.Context, r *round) (bool, error) {
	f.since = time.Now()
	return true, r.server.stopImmediately(context.WithoutCancel(ctx))
}

func (f *immediate) heal(ctx context.Context, r *round) error {
	err := r.server.start(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.back = time.Now()
	r.outages = append(r.outages, span{from: f.since, to: r.back})
	return err
}

// span is a time in which the database was down, or had no connection left.
type span struct{ from, to time.Time }

// within reports whether the database was down at some time between two times.
func within(outages []span, from, to time.Time) bool {
	for _, o := range outages {
		if from.Before(o.to) && to.After(o.from) {
			return true
		}
	}
	return false
}
