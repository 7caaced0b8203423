package chaos

import (
	"context"
	"syscall"
	"time"
)

// drain is how long a stopping worker waits for its running tasks before it releases them. Some tasks take longer.
const drain = 50 * time.Millisecond

// term stops a random worker process in order.
type term struct{}

func (term) name() string { return "graceful stop" }

func (term) apply(ctx context.Context, r *round) (bool, error) {
	p, err := r.processes.borrow(ctx)
	if err != nil {
		return false, err
	}
	defer r.processes.giveBack(p)
	proc, err := r.processes.end(p, syscall.SIGTERM, "term")
	if err != nil {
		return false, err
	}
	select {
	case <-proc.done:
	case <-time.After(orderly):
		r.breach("a worker did not stop within " + orderly.String() + " of being asked")
		return false, proc.signal(syscall.SIGKILL)
	}
	return proc.cmd.ProcessState.Exited(), nil
}

func (term) heal(context.Context, *round) error { return nil }
