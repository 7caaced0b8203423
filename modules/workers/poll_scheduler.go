package workers

import (
	"context"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/sluiceworks/sluice/modules/outbox"
	"github.com/sluiceworks/sluice/modules/pipelines"
)

// emptyPollDelay is how long a look that got nothing waits at least: what was due is in another process's hands, or its
// commit is near.
const emptyPollDelay = 5 * time.Millisecond

// pollNow has the next turn look at the outbox.
func (p *Pool) pollNow() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pollAll()
	p.wake()
}

// wake has a turn taken if all wait for one.
func (p *Pool) wake() {
	select {
	case p.wakeup <- struct{}{}:
	default:
	}
}

// reportDrained tells the scout that the outbox holds no more for this process just now; empty: it held nothing.
func (p *Pool) reportDrained(empty bool) {
	select {
	case p.drained <- empty:
	default: // it has been told
	}
}

// pollScheduler knows when the outbox is worth a look: when somebody tells of work, when a task becomes due, and now
// and then, since another process may have made work without telling.
func (p *Pool) pollScheduler(ctx context.Context) {
	ready, cancel := p.engine.Notifier().SubscribeReady(ctx)
	defer cancel()
	p.pollNow()
	timer := time.NewTimer(p.config.Poll)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			p.wake() // whoever waits sees that the end has come
			return
		case <-ready:
			p.pollNow()
		case <-p.commits: // a look writes, and SQLite has one writer: look only when something is due
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

// listen has this process look when another has told of something.
func (p *Pool) listen(ctx context.Context) {
	err := p.db.Listen(ctx, func(topic string) {
		p.engine.Notifier().NotifyRemote(ctx, topic == pipelines.TopicReady)
		if topic == "" { // something was committed, or may have been: neither SQLite nor a listener that was away knows what
			signal(p.commits)
		}
		if topic != pipelines.TopicReady {
			signal(p.ended)
			signal(p.ends)
		}
	})
	if err != nil {
		p.log.Warn("not listening to other processes: they are noticed by polling alone", zap.Error(err))
	}
}

// schedule sets the timer to when a task is due, at the latest to the next poll.
func (p *Pool) schedule(timer *time.Timer, due time.Duration) {
	if due <= 0 {
		p.pollNow()
		due = p.config.Poll
	}
	due = min(due, p.config.Poll)
	if rest, partial := p.rest(); partial {
		due = min(due, max(rest, emptyPollDelay))
	}
	timer.Reset(due)
}

// untilDue is how long no task that this process can run is due; longer than the poll interval if none is known.
func (p *Pool) untilDue(ctx context.Context) time.Duration {
	p.mu.Lock()
	want := p.claimFilter(&p.shared, 1) // the others are looked for when there is room, due or not
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

// overflowEvery is which of a pool's looks lets bulk go first.
const overflowEvery = 4

// claimFilter is what the next look of a search takes. Callers hold the lock.
func (p *Pool) claimFilter(s *pollGroup, limit int) outbox.ClaimFilter {
	n, handlers := s.polledAt%len(p.config.Queues), p.handlersOf(s)
	return outbox.ClaimFilter{
		Handlers: handlers, Queues: slices.Concat(p.config.Queues[n:], p.config.Queues[:n]), Limit: limit,
		OverflowFirst: s.polledAt%overflowEvery == overflowEvery-1, PipelineExecutionID: p.config.PipelineExecutionID, Cursors: p.cursorsFor(handlers),
	}
}

// rest is how long it is until a look from the beginning is due, if the last one of the common search was none.
func (p *Pool) rest() (rest time.Duration, partial bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cursorsFor(p.handlersOf(&p.shared)).NextFullScanIn(p.db.Now())
}

// sleep waits for d or for the end of ctx.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
