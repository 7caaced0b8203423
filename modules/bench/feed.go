package bench

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
)

// load is a set of runs to start.
type load struct {
	def   *definition.Definition
	runs  int
	rate  float64 // runs that arrive per second, at random times; 0: no delay
	ahead int     // maximum number of open tasks, unless a single run has more; 0: no limit
}

func (l load) tasks() int { return l.runs * len(l.def.Tasks) }

const (
	feeders     = 2    // goroutines that start runs
	tasksPerSet = 2000 // tasks that a feeder creates at once, as `start --count` does
)

// perSet returns how many runs are started at once.
func (l load) perSet() int {
	tasks := tasksPerSet
	if l.ahead > 0 {
		tasks = min(tasks, l.ahead)
	}
	return max(tasks/len(l.def.Tasks), 1)
}

// feed starts the runs of a load while workers run them. It returns when all runs have been started.
func (b *Bench) feed(ctx context.Context, l load) error {
	group, ctx := errgroup.WithContext(ctx)
	if l.rate > 0 {
		arrivals := make(chan struct{}, l.runs)
		group.Go(func() error { return l.arrive(ctx, b.deps.Workers.DB.Now, arrivals) })
		for range feeders {
			group.Go(func() error { return b.serve(ctx, l, arrivals) })
		}
		return group.Wait()
	}
	q := &quota{left: l.runs, before: b.tally.count()}
	for range feeders {
		group.Go(func() error {
			for {
				n, atLeast := q.take(l)
				if n == 0 {
					return nil
				}
				if err := b.tally.await(ctx, atLeast); err != nil {
					return err
				}
				if err := b.start(ctx, l, n); err != nil {
					return err
				}
			}
		})
	}
	return group.Wait()
}

func (b *Bench) start(ctx context.Context, l load, n int) error {
	requests := make([]engine.StartRequest, n)
	for i := range requests {
		requests[i] = engine.StartRequest{Definition: l.def, Actor: "bench"}
	}
	_, err := b.deps.Workers.Engine.Start(ctx, requests)
	return err
}

// quota distributes the runs of a load among the feeders.
type quota struct {
	mu     sync.Mutex
	left   int
	taken  int   // tasks of the runs distributed so far
	before int64 // tasks that had ended before the load
}

// take returns the size of the next set of runs, which is 0 at the end. The set may be started when the tally is at
// least atLeast.
func (q *quota) take(l load) (n int, atLeast int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n = min(l.perSet(), q.left)
	q.left -= n
	start := q.taken
	q.taken += n * len(l.def.Tasks)
	if l.ahead == 0 {
		return n, 0
	}
	// A set larger than the limit waits until no other task is open.
	return n, q.before + int64(min(q.taken-l.ahead, start))
}

// arrive sends to arrivals when a run arrives. The arrivals are a Poisson process.
func (l load) arrive(ctx context.Context, now func() time.Time, arrivals chan<- struct{}) error {
	defer close(arrivals)
	next := now()
	for range l.runs {
		next = next.Add(time.Duration(rand.ExpFloat64() / l.rate * float64(time.Second)))
		if err := pause(ctx, next.Sub(now())); err != nil {
			return err
		}
		arrivals <- struct{}{} // never blocks, because the channel has capacity for all runs
	}
	return nil
}

// serve starts the runs that have arrived: one at a time, or several if it lags behind.
func (b *Bench) serve(ctx context.Context, l load, arrivals <-chan struct{}) error {
	for range arrivals {
		n := 1
	gather:
		for n < l.perSet() {
			select {
			case _, open := <-arrivals:
				if !open {
					break gather
				}
				n++
			default:
				break gather
			}
		}
		if err := b.tally.await(ctx, 0); err != nil {
			return err
		}
		if err := b.start(ctx, l, n); err != nil {
			return err
		}
	}
	return ctx.Err()
}
