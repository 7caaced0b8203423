package client

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/modules/workers"
	"github.com/sluiceworks/sluice/platform/db"
)

// ErrWorkerStarted is returned by Worker.Start and Worker.Run after the first call of either.
var ErrWorkerStarted = errors.New("the worker was started before")

// minLease is the shortest lease that a worker can renew in time.
const minLease = 100 * time.Millisecond

// WorkerConfig configures a worker. The zero value is valid.
type WorkerConfig struct {
	// Slots is the maximum number of tasks that run at once; 0 means workers.DefaultSlots (1000).
	Slots int
	// Queues are the queues to serve; empty means tasks.DefaultQueue alone.
	Queues []string
	// HandlerLimits is the maximum number of tasks of a handler that run at once, by the handler's name. It takes
	// precedence over tasks.WithLimit.
	HandlerLimits map[string]int
	// Lease is how long the worker may be silent before other workers recover its tasks, at least 100ms; 0 means
	// workers.DefaultLease (15s). The worker renews it three times in that time.
	Lease time.Duration
	// Drain is how long a stopping worker waits for its running tasks. After that it cancels their contexts and returns
	// them to the queue. 0 means workers.DefaultDrain (30s); a negative Drain means not to wait.
	Drain time.Duration
	// Observer receives the worker's events, for metrics; nil means none.
	Observer workers.Observer
}

// check returns pipelines.ErrInvalidArgument for a setting that cannot work.
func (w WorkerConfig) check(handlers *tasks.Registry) error {
	wrong := func(format string, args ...any) error {
		return fmt.Errorf("worker: %w: %s", pipelines.ErrInvalidArgument, fmt.Sprintf(format, args...))
	}
	if w.Slots < 0 {
		return wrong("%d slots", w.Slots)
	}
	if w.Lease != 0 && w.Lease < minLease {
		return wrong("a lease of %s: it is at least %s", w.Lease, minLease)
	}
	for _, q := range w.Queues {
		if !tasks.ValidQueue(q) {
			return wrong("queue name %q: %s", q, tasks.QueueNameRule)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(w.HandlerLimits)) {
		if _, ok := handlers.Handler(name); !ok {
			return wrong("a limit for the handler %q: the handlers are %s", name, strings.Join(handlers.Names(), ", "))
		}
		if w.HandlerLimits[name] < 1 {
			return wrong("a limit of %d for the handler %q: it is at least 1", w.HandlerLimits[name], name)
		}
	}
	return nil
}

// Worker claims tasks whose handlers it has, from the queues that it serves, and runs them. It also recovers the tasks
// of workers whose leases have expired and ends runs whose timeout is over, of all processes on the database. Create it
// with Client.NewWorker, and call Start or Run once.
type Worker struct {
	client *Client
	pool   *workers.Pool
	kill   chan struct{} // when closed, a stopping pool does not wait for running tasks
	done   chan struct{} // closed when the worker has stopped

	work context.Context // ends when the worker is to stop
	stop context.CancelFunc

	mu      sync.Mutex
	started bool
	killed  bool
	err     error // of the pool, after done
}

// NewWorker returns a worker with handlers. It does not start it. It returns an error for handlers that
// tasks.NewRegistry refuses, and pipelines.ErrInvalidArgument for settings that cannot work.
//
// Besides handlers made by tasks.NewHandler, it takes the built-in ones, such as wait.NewSleep().
func (c *Client) NewWorker(handlers []tasks.Handler, config WorkerConfig) (*Worker, error) {
	registry, err := tasks.NewRegistry(handlers)
	if err != nil {
		return nil, err
	}
	if err := config.check(registry); err != nil {
		return nil, err
	}
	if config.Drain == 0 {
		config.Drain = workers.DefaultDrain
	}
	w := &Worker{client: c, kill: make(chan struct{}), done: make(chan struct{})}
	w.pool = workers.New(workers.Config{
		Slots: config.Slots, Queues: config.Queues, Lease: config.Lease, Drain: max(config.Drain, 0), Kill: w.kill,
		Observer: config.Observer, HandlerLimits: config.HandlerLimits, LogOutcomes: true,
	}, workers.Deps{
		DB: c.db, Engine: c.engine, Tasks: c.tasks, Outbox: c.outbox, Leases: c.leases, Handlers: registry, Log: c.log,
	})
	w.work, w.stop = context.WithCancel(db.WithTenant(context.Background(), c.tenant))
	return w, nil
}

// Start registers the worker in the database and lets it work in the background, until Stop or Client.Close. ctx is
// used only to register. If registering fails, Start may be called again.
func (w *Worker) Start(ctx context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.started {
		return ErrWorkerStarted
	}
	c := w.client
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return ErrClosed
	}
	c.background.Add(1) // Close waits for the worker, or for the failure to register it
	c.mu.Unlock()
	if _, err := w.pool.Register(db.WithTenant(ctx, c.tenant)); err != nil {
		c.background.Done()
		return err
	}
	w.started = true
	c.mu.Lock()
	c.workers[w] = true
	if c.closed { // meanwhile
		w.stop()
	}
	c.mu.Unlock()
	go w.run()
	return nil
}

func (w *Worker) run() {
	defer w.client.background.Done()
	defer close(w.done)
	err := w.pool.Run(w.work)
	w.stop()
	w.mu.Lock()
	w.err = err
	w.mu.Unlock()
	w.client.mu.Lock()
	defer w.client.mu.Unlock()
	delete(w.client.workers, w)
}

// Run starts the worker, and stops it when ctx ends, as Stop does within WorkerConfig.Drain. It returns nil after an
// orderly stop; otherwise the error that prevented the start, or with which the worker ended by itself (see Done).
func (w *Worker) Run(ctx context.Context) error {
	if err := w.Start(ctx); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
	case <-w.done:
	}
	return w.Stop(context.WithoutCancel(ctx))
}

// Stop stops the worker: it claims no more tasks, waits for those that run, at most for WorkerConfig.Drain or until ctx
// ends, then cancels the contexts of their handlers and returns them to the queue. Stop returns when the worker has
// stopped. A handler that ignores the end of its context delays it by 10 seconds.
//
// The error is nil after an orderly stop, also if ctx has ended. workers.ErrUnrecorded means that results could not be
// written; other workers run their tasks again when the lease has expired. A worker that was not started returns nil.
func (w *Worker) Stop(ctx context.Context) error {
	w.stop()
	w.mu.Lock()
	started := w.started
	w.mu.Unlock()
	if !started {
		return nil
	}
	select {
	case <-w.done:
	case <-ctx.Done():
		w.mu.Lock()
		if !w.killed {
			w.killed = true
			close(w.kill)
		}
		w.mu.Unlock()
		<-w.done
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// Done returns a channel that is closed when the worker has stopped, by Stop, Client.Close or a fatal error, such as a
// SQLite file that was replaced. Stop returns that error.
func (w *Worker) Done() <-chan struct{} { return w.done }

// State returns a snapshot of the worker: its slots, how many of them are used, and why it cannot start tasks, if so.
func (w *Worker) State() workers.State { return w.pool.State() }
