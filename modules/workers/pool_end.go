package workers

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/sluiceworks/sluice/platform/db"
)

// Reasons for which a handler's context ends before its time is up.
var (
	errClaimLost = errors.New("the task was taken from this worker")
	errTaskEnded = fmt.Errorf("it was cancelled or abandoned: %w", errClaimLost)
	errStopping  = errors.New("the worker is stopping")
)

// ErrUnrecorded is returned by Run when the database took some results neither while the process drained nor in the
// seconds after that. Other workers run those tasks again when the lease expires.
var ErrUnrecorded = errors.New("some results could not be saved: other workers run these tasks again when the lease expires")

// stopOnTenantGone ends all work at once if the database is gone: there is nowhere to record an outcome.
func (p *Pool) stopOnTenantGone(ctx context.Context, stop context.CancelCauseFunc) {
	if cause := context.Cause(ctx); isFatal(cause) {
		stop(cause)
	}
}

// isFatal reports an error after which the pool's database does not come back.
func isFatal(err error) bool {
	return errors.Is(err, db.ErrTenantNotFound) || errors.Is(err, db.ErrReplaced)
}

// deregister takes the worker off, and first gives back what is Running in its name although nothing runs: after a
// claim whose answer was lost, or after commits that the database has lost. If the database does not let it, the row
// stays, and others take those tasks back when its lease expires.
func (p *Pool) deregister(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, shutdownWriteTimeout)
	defer cancel()
	for {
		err := p.releaseOrphans(ctx)
		if err == nil {
			err = p.engine.Deregister(ctx, p.workerID())
		}
		if err == nil {
			return
		}
		if ctx.Err() != nil || isFatal(err) {
			p.log.Warn("deregistering failed: others take over when the lease expires", zap.Error(err))
			return
		}
		sleep(ctx, 100*time.Millisecond)
	}
}

// markDraining marks the worker's row as draining while tasks still run. A worker that runs nothing removes its row
// instead. Only what operators see depends on the mark, so a failure is logged and tried again.
func (p *Pool) markDraining(ctx context.Context) {
	for p.runs() && ctx.Err() == nil {
		err := p.leases.Drain(ctx, p.workerID())
		if err == nil || ctx.Err() != nil { // what ran has ended meanwhile
			return
		}
		p.outage.Warn("marking this worker as draining failed, trying again", zap.Error(err))
		sleep(ctx, watchInterval)
	}
}

// runs reports whether a handler runs, or an outcome is not recorded yet.
func (p *Pool) runs() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.running) > 0
}

// drain waits for running handlers, then ends their contexts, and waits for those that heed it.
func (p *Pool) drain(handlers *sync.WaitGroup) {
	done := make(chan struct{})
	go func() {
		handlers.Wait()
		close(done)
	}()
	timer := time.NewTimer(p.config.Drain)
	defer timer.Stop()
	select {
	case <-done:
		return
	case <-p.config.Kill:
	case <-timer.C:
	}
	p.log.Info("giving back tasks that did not end in time", zap.Duration("drain", p.config.Drain))
	p.cancelRunning(errStopping)
	<-done // a handler that ignores its context is given up by its attempt
}

// cancelRunning ends the contexts of all running handlers.
func (p *Pool) cancelRunning(cause error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, cancel := range p.running {
		cancel(cause)
	}
}
