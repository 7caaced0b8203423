package chaos

import (
	"context"
	"time"
)

// sever cuts the link with the next COMMIT, either before the server receives it, or afterwards, before its answer is
// back.
type sever struct {
	after bool
}

func (s sever) name() string {
	if s.after {
		return "link cut after COMMIT"
	}
	return "link cut before COMMIT"
}

// commitTimeout is how long to wait for a COMMIT. There is none while the server is down.
const commitTimeout = 5 * time.Second

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
	case <-time.After(commitTimeout):
	}
	// The cut was not made, or was begun on a link that broke before the answer came.
	select {
	case <-r.proxy.orders:
	default:
	}
	return false, nil
}

func (s sever) heal(context.Context, *round) error { return nil }
