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

// Reasons why a handler's context is cancelled before its timeout.
var (
	errClaimLost = errors.New("claim lost")
	errTaskEnded = fmt.Errorf("task cancelled or abandoned: %w", errClaimLost)
	errStopping  = errors.New("the worker is stopping")
)

// ErrUnrecorded is returned by Run if some outcomes could not be recorded. Run keeps trying for at least 10 seconds
// after the last handler has ended. Other workers run those tasks again when the lease expires.
var ErrUnrecorded = errors.New(
	"some results could not be saved: other workers will run these tasks again after the lease expires")

// stopOnDatabaseGone stops all work at once if the database is gone, because no outcome can be recorded.
func (p *Pool) stopOnDatabaseGone(ctx context.Context, stop context.CancelCauseFunc) {
	if cause := context.Cause(ctx); isFatal(cause) {
		stop(cause)
	}
}

// isFatal reports whether the pool's database is permanently gone.
func isFatal(err error) bool {
	return errors.Is(err, db.ErrTenantNotFound) || errors.Is(err, db.ErrReplaced)
}

// deregister removes the worker's row. First it releases the tasks that are Running under the worker's id but are not
// run, after a claim in doubt or lost commits. It retries for shutdownWriteTimeout. If it fails, the row stays, and
// other workers recover the tasks when the lease expires.
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
			p.log.Warn("failed to deregister: other workers recover the tasks after the lease expires", zap.Error(err))
			return
		}
		sleep(ctx, 100*time.Millisecond)
	}
}

// markDraining marks the worker's row as draining while tasks still run. A worker that runs nothing removes its row
// instead. Only what operators see depends on the mark, so a failure is logged and retried.
func (p *Pool) markDraining(ctx context.Context) {
	for p.hasRunning() && ctx.Err() == nil {
		err := p.leases.Drain(ctx, p.workerID())
		if err == nil || ctx.Err() != nil { // the row may be gone by now, which is no error
			return
		}
		p.sampledLog.Warn("marking this worker as draining failed, trying again", zap.Error(err))
		sleep(ctx, watchInterval)
	}
}

// hasRunning reports whether a handler runs or an outcome is not yet recorded.
func (p *Pool) hasRunning() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.running) > 0
}

// drain waits for the running handlers. After Config.Drain, or when Config.Kill is closed, it cancels their contexts
// and waits until all attempts have ended.
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
	p.log.Info("releasing tasks that did not end in time", zap.Duration("drain", p.config.Drain))
	p.cancelRunning(errStopping)
	<-done // await stops waiting for a handler that ignores its context
}

// cancelRunning cancels the contexts of all running handlers.
func (p *Pool) cancelRunning(cause error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, cancel := range p.running {
		cancel(cause)
	}
}
