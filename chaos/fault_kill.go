package chaos

import (
	"context"
	"syscall"
)

// kill ends a random worker process by SIGKILL. It starts another one in its place.
type kill struct{}

func (kill) name() string { return "kill" }

func (kill) apply(ctx context.Context, r *round) (bool, error) {
	p, err := r.processes.borrow(ctx)
	if err != nil {
		return false, err
	}
	defer r.processes.giveBack(p)
	proc, err := r.processes.end(p, syscall.SIGKILL, "kill")
	if err != nil {
		return false, err
	}
	<-proc.done
	status, ok := proc.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL, nil
}

func (kill) heal(context.Context, *round) error { return nil }
