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

// The pause after a task that could not be started doubles from the one to the other with each failure in a row, and
// varies by a quarter.
const (
	firstPause = 250 * time.Millisecond
	lastPause  = 30 * time.Second
)

// startup is whether this worker is able to start tasks.
type startup struct {
	handler  string // whose task could not be started last; empty: tasks can be started
	reason   string // in fixed words
	failures int    // in a row
	since    time.Time
	until    time.Time // the end of the pause
	most     int       // how many tasks may run at once; 0: as many as there are slots
	began    int       // tasks started since most was changed
}

// shortReason is what everybody may read of an error.
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

// notStarted returns the outcome that releases a task which this process could not start. The process claims nothing
// for a while.
func (p *Pool) notStarted(out *pipelines.Outcome, began time.Time, err error) *pipelines.Outcome {
	out.Kind, out.Reason = pipelines.OutcomeReleased, "not started: "+tasks.SanitizeText(err.Error(), tasks.MaxError/2)
	p.config.Observer.NotStarted()
	p.noteFault(out.Claim.Task.Handler, began, err)
	return out
}

// noteFault begins a pause. Tasks that were claimed before the last pause began say nothing new.
func (p *Pool) noteFault(handler string, began time.Time, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := &p.startup; s.handler != "" && (began.Before(s.since) || p.db.Now().Before(s.until)) {
		return
	}
	p.pauseStarts(handler, err)
}

// pauseStarts begins a pause. Callers hold the lock.
func (p *Pool) pauseStarts(handler string, err error) {
	s := &p.startup
	wait := min(firstPause<<min(s.failures, 10), lastPause)
	wait = wait*3/4 + rand.N(wait/2) //nolint:gosec // jitter
	s.failures++
	s.handler, s.reason, s.since = handler, shortReason(err), p.db.Now()
	s.until = s.since.Add(wait)
	if _, tests := p.handlers.SelfTester(handler); !tests {
		s.most, s.began = 1, 0 // the next task is the test
	} else if tasks.OutOfResources(err) {
		s.most, s.began = max(min(p.slots(), p.used)/2, 1), 0
	}
	p.outage.Warn("this worker cannot start tasks: they are given back, and it claims none for a while",
		zap.String("handler", handler), zap.Error(err), zap.Duration("pause", wait))
	signal(p.starts)
}

// slots is how many tasks may run at once by now. Callers hold the lock.
func (p *Pool) slots() int {
	if p.startup.most > 0 {
		return min(p.startup.most, p.config.Slots)
	}
	return p.config.Slots
}

// startsPaused reports whether nothing is to be claimed because tasks cannot be started. Callers hold the lock.
func (p *Pool) startsPaused() bool { return p.startup.handler != "" && !p.startup.until.IsZero() }

// taskStarted notes a task that could be started: after as many of them as may run at once, an eighth more may.
func (p *Pool) taskStarted(began time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := &p.startup
	if s.handler == "" && s.most == 0 || began.Before(s.since) {
		return
	}
	if s.handler != "" {
		p.startsAgain()
		p.pollAll()
		p.wake()
	}
	if s.most == 0 {
		return
	}
	if s.began++; s.began < s.most {
		return
	}
	if s.most, s.began = s.most+max(s.most/8, 1), 0; s.most >= p.config.Slots {
		s.most = 0
	}
	p.wake()
}

// startsAgain ends a fault. Callers hold the lock.
func (p *Pool) startsAgain() {
	if p.startup.handler != "" {
		p.log.Info("this worker can start tasks again", zap.String("handler", p.startup.handler))
	}
	s := &p.startup
	s.handler, s.reason, s.failures, s.until = "", "", 0, time.Time{}
}

// resumeStarts ends each pause: by a test of the handler, or, if it has none, with the next task.
func (p *Pool) resumeStarts(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.starts:
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
			p.startsAgain()
		}
		p.pollAll()
		p.mu.Unlock()
		p.wake()
	}
}
