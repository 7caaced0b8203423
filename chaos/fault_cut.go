package chaos

import (
	"context"
	"time"
)

// sever cuts the link on which the next COMMIT travels, before the server has it, or after, before its answer is back.
type sever struct {
	after bool
}

func (s sever) name() string {
	if s.after {
		return "link cut after COMMIT"
	}
	return "link cut before COMMIT"
}

// patience is how long to wait for a COMMIT: there is none while the server is away.
const patience = 5 * time.Second

func (s sever) apply(ctx context.Context, r *round) (bool, error) {
	c := &cut{after: s.after, done: make(chan struct{})}
	select {
	case r.proxy.orders <- c:
	case <-ctx.Done():
		return false, ctx.Err()
	}
	select {
	case <-c.done:
		return true, nil
	case <-ctx.Done():
	case <-time.After(patience):
	}
	// Not carried out, or begun on a link that broke before the answer came.
	select {
	case <-r.proxy.orders:
	default:
	}
	return false, nil
}

func (s sever) heal(context.Context, *round) error { return nil }
