package chaos

import (
	"context"
	"errors"
	"syscall"
	"time"
)

const zombie = "zombie"

// freeze stops a random worker process for longer than its lease, so that others recover its tasks, and then lets it
// continue. It is then a zombie, whose handlers end with outcomes that come too late.
type freeze struct {
	frozen *child
	place  *place
}

func (*freeze) name() string { return zombie }

func (f *freeze) apply(ctx context.Context, r *round) (bool, error) {
	p, err := r.processes.borrow(ctx)
	if err != nil {
		return false, err
	}
	p.mu.Lock()
	f.place, f.frozen = p, p.proc
	p.mu.Unlock()
	if err := f.frozen.signal(syscall.SIGSTOP); err != nil {
		return false, err
	}
	// Its last renewal may be recent, and others look for expired leases three times per lease.
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
	r.processes.giveBack(f.place)
	f.frozen = nil
	if errors.Is(err, syscall.ESRCH) {
		return nil
	}
	return err
}
