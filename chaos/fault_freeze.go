package chaos

import (
	"context"
	"errors"
	"syscall"
	"time"
)

const zombie = "zombie"

// freeze stops a random worker process past its lease, so that others take its tasks, and lets it go on: a zombie, whose handlers
// end and whose outcomes come too late.
type freeze struct {
	frozen *child
	place  *place
}

func (*freeze) name() string { return zombie }

func (f *freeze) apply(ctx context.Context, r *round) (bool, error) {
	p, err := r.fleet.borrow(ctx)
	if err != nil {
		return false, err
	}
	p.mu.Lock()
	f.place, f.frozen = p, p.proc
	p.mu.Unlock()
	if err := f.frozen.signal(syscall.SIGSTOP); err != nil {
		return false, err
	}
	// Its last renewal may have been a moment ago; others look for expired leases three times a lease.
	select {
	case <-ctx.Done():
	case <-f.frozen.done:
		return false, nil
	case <-time.After(r.config.Lease * 7 / 4):
	}
	return true, nil
}

func (f *freeze) heal(_ context.Context, r *round) error {
	if f.frozen == nil {
		return nil
	}
	err := f.frozen.signal(syscall.SIGCONT)
	r.fleet.giveBack(f.place)
	f.frozen = nil
	if errors.Is(err, syscall.ESRCH) {
		return nil
	}
	return err
}
