package chaos

import (
	"context"
	"math/rand/v2"
	"time"
)

// fault is one way to break the installation.
type fault interface {
	// name returns the fault's name in reports.
	name() string
	// apply does the damage, and reports whether it hit something.
	apply(ctx context.Context, r *round) (hit bool, err error)
	// heal undoes damage that does not repair itself. It is called after each apply, even after a failed one, and
	// must not fail if there is nothing to undo.
	heal(ctx context.Context, r *round) error
}

// stream is a fault that strikes repeatedly, concurrently with all others, until it has struck often enough.
type stream struct {
	fault fault
	every time.Duration // average
	times int
}

// run strikes until the fault has struck often enough or ctx ends. hit is called after each strike that hit and was
// healed. A frozen worker that held no task has no late outcome, so workers are frozen until enough late outcomes
// were refused.
func (s stream) run(ctx context.Context, r *round, hit func()) error {
	missing := func(n int) bool {
		return n < s.times || s.fault.name() == zombie && r.logs.lateOutcomes() < r.config.Refused
	}
	for n := 0; missing(n) && pause(ctx, s.every/2+rand.N(s.every)); {
		struck, err := s.fault.apply(ctx, r)
		// The damage must be undone even if the time is over.
		if healing := s.fault.heal(context.WithoutCancel(ctx), r); err == nil {
			err = healing
		}
		if err != nil && ctx.Err() == nil {
			return err
		}
		if struck {
			n++
			hit()
		}
	}
	return nil
}
