package workers

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/sluiceworks/sluice/modules/pipelines/engine"
)

// emptyPollDelay is the minimum delay after a poll that returned nothing. The due tasks are then locked by another
// process, or their commit is imminent.
const emptyPollDelay = 5 * time.Millisecond

// pollNow makes the next exchange poll the outbox.
func (p *Pool) pollNow() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.scheduler.PollAll()
	p.wake()
}

// wake wakes one loop that waits for an exchange.
func (p *Pool) wake() {
	select {
	case p.wakeup <- struct{}{}:
	default:
	}
}

// reportDrained tells pollTrigger that the outbox has no further due tasks for this process. empty means that the
// poll returned nothing.
func (p *Pool) reportDrained(empty bool) {
	select {
	case p.drained <- empty:
	default: // a report is already pending
	}
}

// pollTrigger decides when to poll the outbox, until ctx ends: after a notification of ready tasks, when a task
// becomes due, and at the latest after each poll interval, because another process may have sent no notification.
func (p *Pool) pollTrigger(ctx context.Context) {
	ready, cancel := p.engine.Notifier().SubscribeReady(ctx)
	defer cancel()
	p.pollNow()
	timer := time.NewTimer(p.config.Poll)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			p.wake() // let waiting loops see that ctx has ended
			return
		case <-ready:
			p.pollNow()
		case <-p.commits: // a poll writes, and SQLite has one writer, so poll only if a task is due
			p.schedule(timer, p.untilDue(ctx))
		case empty := <-p.drained:
			due := p.untilDue(ctx)
			if empty {
				due = max(due, emptyPollDelay)
			}
			p.schedule(timer, due)
		case <-timer.C:
			p.schedule(timer, p.untilDue(ctx))
		}
	}
}

// listen handles the notifications of other processes until ctx ends.
func (p *Pool) listen(ctx context.Context) {
	err := p.db.Listen(ctx, func(topic string) {
		p.engine.Notifier().NotifyRemote(ctx, topic == engine.TopicReady)
		if topic == "" { // any kind of commit: SQLite does not tell, and a reconnected listener may have missed some
			signal(p.commits)
		}
		if topic != engine.TopicReady {
			signal(p.checkClaims)
			signal(p.runEndsStored)
		}
	})
	if err != nil {
		p.log.Warn("no notifications from other processes: their changes are found by polling only", zap.Error(err))
	}
}

// schedule sets the timer to when a task is due, at the latest to the next regular poll. If due is 0 or less, it polls
// now.
func (p *Pool) schedule(timer *time.Timer, due time.Duration) {
	if due <= 0 {
		p.pollNow()
		due = p.config.Poll
	}
	due = min(due, p.config.Poll)
	if rest, partial := p.nextFullScan(); partial {
		due = min(due, max(rest, emptyPollDelay))
	}
	timer.Reset(due)
}

// untilDue returns the time until the next task of the shared group is due. If none is known, the result is longer than
// the poll interval.
func (p *Pool) untilDue(ctx context.Context) time.Duration {
	p.mu.Lock()
	want := p.claimFilter(p.scheduler.Shared(), 0) // saturated handlers are polled when they have capacity, due or not
	p.mu.Unlock()
	if len(want.Handlers) == 0 {
		return p.config.Poll + 1
	}
	at, err := p.outbox.NextDueAt(ctx, want)
	if err != nil || at.IsZero() {
		return p.config.Poll + 1
	}
	return at.Sub(p.db.Now())
}

// nextFullScan returns the time until the next full scan of the shared group. partial reports whether its last scan was
// not a full one.
func (p *Pool) nextFullScan() (rest time.Duration, partial bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cursorsFor(p.scheduler.Shared()).NextFullScanIn(p.db.Now())
}

// sleep waits for d or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
