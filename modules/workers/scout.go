package workers

import (
	"context"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/sluiceworks/sluice/modules/outbox"
	"github.com/sluiceworks/sluice/modules/pipelines"
)

// taken is how long a look that got nothing waits at least: what was due is in another process's hands, or its commit is near.
const taken = 5 * time.Millisecond

// lookNow has the next turn look at the outbox.
func (p *Pool) lookNow() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lookForAll()
	p.wake()
}

// wake has a turn taken if all wait for one.
func (p *Pool) wake() {
	select {
	case p.kick <- struct{}{}:
	default:
	}
}

// exhausted tells the scout that the outbox holds no more for this process just now; empty: it held nothing.
func (p *Pool) exhausted(empty bool) {
	select {
	case p.dry <- empty:
	default: // it has been told
	}
}

// scout knows when the outbox is worth a look: when somebody tells of work, when a task becomes due, and now and then, since
// another process may have made work without telling.
func (p *Pool) scout(ctx context.Context) {
	ready, cancel := p.engine.Waker().Ready(ctx)
	defer cancel()
	p.lookNow()
	timer := time.NewTimer(p.config.Poll)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			p.wake() // whoever waits sees that the end has come
			return
		case <-ready:
			p.lookNow()
		case <-p.commits: // a look writes, and SQLite has one writer: look only when something is due
			p.expect(timer, p.untilDue(ctx))
		case empty := <-p.dry:
			due := p.untilDue(ctx)
			if empty {
				due = max(due, taken)
			}
			p.expect(timer, due)
		case <-timer.C:
			p.expect(timer, p.untilDue(ctx))
		}
	}
}

// listen has this process look when another has told of something.
func (p *Pool) listen(ctx context.Context) {
	err := p.db.Listen(ctx, func(topic string) {
		p.engine.Waker().Told(ctx, topic == pipelines.TopicReady)
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

// expect sets the timer to when a task is due, at the latest to the next poll.
func (p *Pool) expect(timer *time.Timer, due time.Duration) {
	if due <= 0 {
		p.lookNow()
		due = p.config.Poll
	}
	due = min(due, p.config.Poll)
	if rest, partial := p.rest(); partial {
		due = min(due, max(rest, taken))
	}
	timer.Reset(due)
}

// untilDue is how long no task that this process can run is due; longer than the poll interval if none is known.
func (p *Pool) untilDue(ctx context.Context) time.Duration {
	p.mu.Lock()
	want := p.want(&p.common, 1) // the others are looked for when there is room, due or not
	p.mu.Unlock()
	if len(want.Handlers) == 0 {
		return p.config.Poll + 1
	}
	at, err := p.outbox.NextDue(ctx, want)
	if err != nil || at.IsZero() {
		return p.config.Poll + 1
	}
	return at.Sub(p.db.Now())
}

// bulkTurn is which of a pool's looks lets bulk go first.
const bulkTurn = 4

// want is what the next look of a search takes. Callers hold the lock.
func (p *Pool) want(s *search, limit int) outbox.Want {
	n, handlers := s.looks%len(p.config.Queues), p.handlersOf(s)
	return outbox.Want{
		Handlers: handlers, Queues: slices.Concat(p.config.Queues[n:], p.config.Queues[:n]), Limit: limit,
		BulkFirst: s.looks%bulkTurn == bulkTurn-1, PipelineExecutionID: p.config.PipelineExecutionID, Heads: p.headsOf(handlers),
	}
}

// rest is how long it is until a look from the beginning is due, if the last one of the common search was none.
func (p *Pool) rest() (rest time.Duration, partial bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.headsOf(p.handlersOf(&p.common)).Rest(p.db.Now())
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
