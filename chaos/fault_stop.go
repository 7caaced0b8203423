package chaos

import (
	"context"
)

// immediate stops PostgreSQL without warning and starts it again.
type immediate struct{}

func (immediate) name() string { return "immediate stop" }

func (immediate) apply(ctx context.Context, r *round) (bool, error) {
	return true, r.server.stopImmediately(context.WithoutCancel(ctx))
}

func (immediate) heal(ctx context.Context, r *round) error { return r.server.start(ctx) }
