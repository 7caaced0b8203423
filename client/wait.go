package client

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/platform/db"
)

// minPollInterval is the minimum time between two polls for the ends of runs, however many commits there are.
const minPollInterval = 2 * time.Millisecond

// Wait waits until a run has ended, and returns it. It returns at once if a worker of this client ends the run. If
// another process does, it returns within about 20 ms on a SQLite file, and within 500 ms on PostgreSQL. All calls of
// Wait together cost one query per notification. The first call opens a connection that listens for notifications
// until the client is closed.
//
// Wait returns ctx.Err if ctx ends before, pipelines.ErrExecutionNotFound if there is no such run or it was removed
// meanwhile, and ErrClosed if the client is closed; a run that is found is returned in its last known state. If the
// database becomes unavailable while Wait waits, it waits until the database is back.
func (c *Client) Wait(ctx context.Context, id ID) (pipelines.Execution, error) {
	ctx, err := c.in(ctx)
	if err != nil {
		return pipelines.Execution{}, err
	}
	ended, leave := c.ends.join(id)
	defer func() { leave() }()
	for {
		x, err := c.pipelines.Get(ctx, id)
		if err != nil || x.Status.Terminal() {
			return x, err
		}
		select {
		case err := <-ended:
			if err != nil {
				return x, err
			}
			leave()
			ended, leave = c.ends.join(id) // somebody may have retried the run before it is read
		case <-c.alive.Done():
			return x, ErrClosed
		case <-ctx.Done():
			return x, ctx.Err()
		}
	}
}

// endWatcher notices the ends of the runs that calls of Wait wait for.
type endWatcher struct {
	client *Client
	added  chan struct{} // has an element if a run was added

	mu      sync.Mutex
	running bool
	waiting map[ID]map[chan error]bool
}

// join returns a channel that receives nil when a run has ended, or the error that prevents finding out.
func (e *endWatcher) join(id ID) (ended chan error, leave func()) {
	ended = make(chan error, 1)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.waiting[id] == nil {
		e.waiting[id] = map[chan error]bool{}
	}
	e.waiting[id][ended] = true
	if !e.running {
		e.running = true
		e.client.goBackground(e.run)
	}
	notify(e.added)
	return ended, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		if delete(e.waiting[id], ended); len(e.waiting[id]) == 0 {
			delete(e.waiting, id)
		}
	}
}

// run reads the runs that are waited for after each commit of this process, after each notification of another one, and
// at the intervals of engine.NextEndPoll, until the client is closed.
func (e *endWatcher) run() {
	ctx := e.client.alive
	commits, unsubscribe := e.client.engine.Notifier().SubscribeCommits(ctx)
	defer unsubscribe()
	remote := make(chan struct{}, 1)
	e.client.goBackground(func() {
		if err := e.client.db.Listen(ctx, func(string) { notify(remote) }); err != nil && ctx.Err() == nil {
			e.client.log.Info("no notifications from other processes: ends of runs are found by polling",
				zap.Error(err))
		}
	})
	pause := engine.FirstEndPoll
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-e.added:
			pause = engine.FirstEndPoll
		case <-commits:
		case <-remote:
		case <-timer.C:
			pause = engine.NextEndPoll(pause)
		}
		e.poll(ctx)
		timer.Reset(pause)
		interval := time.NewTimer(minPollInterval)
		select {
		case <-ctx.Done():
		case <-interval.C:
		}
		interval.Stop()
	}
}

// poll reads the runs that are waited for, and reports those that have ended.
func (e *endWatcher) poll(ctx context.Context) {
	e.mu.Lock()
	ids := slices.Collect(maps.Keys(e.waiting))
	e.mu.Unlock()
	if len(ids) == 0 {
		return
	}
	found, err := e.client.pipelines.Find(ctx, ids)
	switch {
	case ctx.Err() != nil:
		return
	case errors.Is(err, db.ErrUnavailable):
		e.client.log.Warn("cannot read the runs that are waited for, trying again", zap.Error(err))
		return
	}
	for _, id := range ids {
		switch x, ok := found[id]; {
		case err != nil:
			e.report(id, err)
		case !ok:
			e.report(id, fmt.Errorf("%w: %s", pipelines.ErrExecutionNotFound, id))
		case x.Status.Terminal():
			e.report(id, nil)
		}
	}
}

func (e *endWatcher) report(id ID, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for ended := range e.waiting[id] {
		select {
		case ended <- err:
		default: // reported before, and not yet received
		}
	}
}

func notify(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default: // the previous notification has not been received yet
	}
}
