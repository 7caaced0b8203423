package workers

import (
	"context"
	"errors"
	"math/rand/v2"
	"os/exec"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/tasks"
)

// After a task that could not be started, claims are paused. The pause starts at firstPause and doubles with each
// consecutive failure up to lastPause, with a jitter of a quarter.
const (
	firstPause = 250 * time.Millisecond
	lastPause  = 30 * time.Second
)

// startup records whether this worker can start tasks.
type startup struct {
	handler  string // whose task could not be started last; empty: tasks can be started
	reason   string // see shortReason
	failures int    // consecutive
	since    time.Time
	until    time.Time // the end of the pause; zero: none
	maxTasks int       // how many tasks may run at once; 0: all slots
	started  int       // tasks started since most was changed
}

// shortReason returns the part of an error that may be shown to everybody.
func shortReason(err error) string {
	var errno syscall.Errno
	switch {
	case errors.As(err, &errno):
		return errno.Error()
	case errors.Is(err, exec.ErrNotFound):
		return exec.ErrNotFound.Error()
	}
	return "see the log"
}

// notStarted returns the outcome that releases a task which this process could not start. It pauses the claims of this
// process.
func (p *Pool) notStarted(out *pipelines.Outcome, began time.Time, err error) *pipelines.Outcome {
	out.Kind, out.Reason = pipelines.OutcomeReleased, "not started: "+tasks.SanitizeText(err.Error(), tasks.MaxError/2)
	p.config.Observer.NotStarted()
	p.recordStartFailure(out.Claim.Task.Handler, began, err)
	return out
}

// recordStartFailure starts a pause. It ignores tasks that began before or during the last pause, because their
// failures are already accounted for.
func (p *Pool) recordStartFailure(handler string, began time.Time, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := &p.startup; s.handler != "" && (began.Before(s.since) || p.db.Now().Before(s.until)) {
		return
	}
	p.pauseStarts(handler, err)
}

// pauseStarts starts a pause. If the handler has no self-test, the next task is the test, so only one task may run. If
// the process is out of resources, the number of concurrent tasks is halved. Callers hold mu.
func (p *Pool) pauseStarts(handler string, err error) {
	s := &p.startup
	wait := min(firstPause<<min(s.failures, 10), lastPause)
	wait = wait*3/4 + rand.N(wait/2) //nolint:gosec // jitter
	s.failures++
	s.handler, s.reason, s.since = handler, shortReason(err), p.db.Now()
	s.until = s.since.Add(wait)
	if _, tests := p.handlers.SelfTester(handler); !tests {
		s.maxTasks, s.started = 1, 0
	} else if tasks.OutOfResources(err) {
		s.maxTasks, s.started = max(min(p.slots(), p.scheduler.Used())/2, 1), 0
	}
	p.sampledLog.Warn("worker cannot start tasks: they are released, and claims are paused",
		zap.String("handler", handler), zap.Error(err), zap.Duration("pause", wait))
	signal(p.startFailed)
}

// slots returns how many tasks may currently run at once. Callers hold mu.
func (p *Pool) slots() int {
	if p.startup.maxTasks > 0 {
		return min(p.startup.maxTasks, p.config.Slots)
	}
	return p.config.Slots
}

// startsPaused reports whether claims are paused because tasks cannot be started. Callers hold mu.
func (p *Pool) startsPaused() bool { return p.startup.handler != "" && !p.startup.until.IsZero() }

// taskStarted records a task that could be started. The number of concurrent tasks grows by an eighth, at least one,
// after that number of successful starts.
func (p *Pool) taskStarted(began time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := &p.startup
	if s.handler == "" && s.maxTasks == 0 || began.Before(s.since) {
		return
	}
	if s.handler != "" {
		p.clearStartFailure()
		p.scheduler.PollAll()
		p.wake()
	}
	if s.maxTasks == 0 {
		return
	}
	if s.started++; s.started < s.maxTasks {
		return
	}
	if s.maxTasks, s.started = s.maxTasks+max(s.maxTasks/8, 1), 0; s.maxTasks >= p.config.Slots {
		s.maxTasks = 0
	}
	p.wake()
}

// clearStartFailure clears the failure. Callers hold mu.
func (p *Pool) clearStartFailure() {
	if p.startup.handler != "" {
		p.log.Info("this worker can start tasks again", zap.String("handler", p.startup.handler))
	}
	s := &p.startup
	s.handler, s.reason, s.failures, s.until = "", "", 0, time.Time{}
}

// resumeStarts ends each pause. It runs the handler's self-test first and extends the pause while that fails. A handler
// without a self-test is tested by the next task.
func (p *Pool) resumeStarts(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.startFailed:
		}
		p.mu.Lock()
		handler, wait := p.startup.handler, p.startup.until.Sub(p.db.Now())
		p.mu.Unlock()
		if handler == "" {
			continue
		}
		sleep(ctx, wait)
		if test, ok := p.handlers.SelfTester(handler); ok {
			if err := test.SelfTest(ctx); err != nil && ctx.Err() == nil {
				p.mu.Lock()
				p.pauseStarts(handler, err)
				p.mu.Unlock()
				continue
			}
		}
		p.mu.Lock()
		p.startup.until = time.Time{}
		if _, ok := p.handlers.SelfTester(handler); ok {
			p.clearStartFailure()
		}
		p.scheduler.PollAll()
		p.mu.Unlock()
		p.wake()
	}
}
