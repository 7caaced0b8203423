package workers

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/platform/db"
)

// doubt follows a claim that failed: its commit may stand although its answer was lost, or may even be under way still. Then its
// tasks are Running in the name of a worker that lives and does not know of them, and no lease would ever bring them back.
type doubt struct {
	looks int // still to be taken
	next  time.Time
}

// arise begins the doubt: a look at once, and some more within the length of a lease.
func (p *Pool) arise() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.doubted, p.doubt = true, doubt{looks: 4, next: p.db.Now()}
	p.exhausted(false) // has the scout see to it
}

// hasDoubted reports whether a claim has failed since the beginning: else nothing can be Running that this process does not know.
func (p *Pool) hasDoubted() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.doubted
}

// doubtful reports whether looks are still to be taken.
func (p *Pool) doubtful() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.doubt.looks > 0
}

// dispel takes a look if it is time for one.
func (p *Pool) dispel(ctx context.Context) {
	now := p.db.Now()
	p.mu.Lock()
	d := p.doubt
	p.mu.Unlock()
	if d.looks == 0 || now.Before(d.next) {
		return
	}
	if err := p.giveBackStrays(ctx); err != nil {
		p.log.Warn("looking for claims whose answer was lost failed, trying again", zap.Error(err))
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.doubt == d { // else another has arisen
		p.doubt = doubt{looks: d.looks - 1, next: now.Add(p.config.Lease / 3)}
	}
}

// giveBackStrays makes the tasks Ready again that are Running in this worker's name and that it does not run.
func (p *Pool) giveBackStrays(ctx context.Context) error {
	type held struct {
		task    db.ID
		version int64
	}
	known := map[held]bool{}
	p.claiming.Lock() // no turn is under way whose claims this process does not know yet
	defer p.claiming.Unlock()
	p.mu.Lock()
	for c := range p.running {
		known[held{c.Task.ID, c.Task.Version}] = true
	}
	worker := p.id
	p.mu.Unlock()
	list, err := p.engine.Held(ctx, worker)
	if err != nil {
		return err
	}
	var strays []*pipelines.Outcome
	for _, t := range list {
		if !known[held{t.ID, t.Version}] {
			strays = append(strays, &pipelines.Outcome{
				Claim: &pipelines.Claim{Task: t}, Kind: pipelines.Released, Reason: "the answer to the claim was lost",
			})
		}
	}
	if len(strays) == 0 {
		return nil
	}
	p.log.Warn("giving back tasks whose claim's answer was lost", zap.Int("tasks", len(strays)))
	_, err = p.engine.Finish(ctx, worker, strays) // one that has moved on meanwhile is no stray any more
	return err
}
