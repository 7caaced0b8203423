package chaos

import (
	"context"
	"math/rand/v2"
	"time"
)

// fault is one way to break the installation.
type fault interface {
	// name is how reports call it.
	name() string
	// apply does the damage, and reports whether it really hit something.
	apply(ctx context.Context, r *round) (hit bool, err error)
	// heal undoes what does not mend itself. It is called after each apply, also when that failed, and must not fail because
	// there is nothing to mend.
	heal(ctx context.Context, r *round) error
}

// stream is a fault that strikes again and again, beside all others, until it has struck often enough.
type stream struct {
	fault fault
	every time.Duration // on the average
	times int
}

// run strikes until it has struck often enough or ctx ends; hit is called after each strike that hit, healed. A frozen
// worker that held no task writes nothing too late, so workers are frozen until enough late outcomes were refused.
func (s stream) run(ctx context.Context, r *round, hit func()) error {
	missing := func(n int) bool {
		return n < s.times || s.fault.name() == zombie && r.logs.lateOutcomes() < r.config.Refused
	}
	for n := 0; missing(n) && pause(ctx, s.every/2+rand.N(s.every)); {
		struck, err := s.fault.apply(ctx, r)
		// What was broken must be mended though the time is over.
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
