// Package client embeds sluice in a Go program: it opens a database, starts and controls runs of pipelines, waits for
// their ends, follows the history, and runs workers with handlers that are given as values. It needs no framework for
// composition, starts nothing when it is imported, and changes nothing process-wide: no signal handlers, no settings
// of the runtime, no environment.
//
// The types of the domain are used as they are: definition.Definition, pipelines.Execution, tasks.Task, events.Event.
//
// A client does not remove old data, seal runs, or register the pipelines of a directory. `sluice serve` on the same
// database does.
package client

import (
	"context"
	"errors"
	"iter"
	"sync"

	"go.uber.org/zap"

	"github.com/sluiceworks/sluice/modules/events/eventstore"
	"github.com/sluiceworks/sluice/modules/leases"
	"github.com/sluiceworks/sluice/modules/outbox"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/modules/tasks/taskstore"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// ErrClosed is returned by methods of a client that was closed.
var ErrClosed = errors.New("the sluice client is closed")

// Names of types that this package's methods use, so that a caller need not import their packages.
type (
	// ID identifies a run or a task: a version 7 UUID, whose order is that of creation.
	ID = dbtype.ID
	// Filter selects runs; see Client.List.
	Filter = engine.Filter
	// Cursor is a position in the history; see Client.Tail. The zero Cursor is the beginning.
	Cursor = eventstore.Cursor
	// TailOptions select the events of a tail; the zero value selects all.
	TailOptions = eventstore.TailOptions
	// Batch is some events of a tail, and the position after them.
	Batch = eventstore.Batch
)

// ParseID parses the text of an ID.
func ParseID(s string) (ID, error) { return dbtype.ParseID(s) }

// ParseCursor parses the text of a Cursor, as Cursor.String returned it. The empty text is the beginning. The error is
// eventstore.ErrCursor.
func ParseCursor(s string) (Cursor, error) { return eventstore.ParseCursor(s) }

// Options configure a client. The zero value is valid.
type Options struct {
	// Tenant is the tenant of everything that the client does; empty means db.DefaultTenant. The tenant of a context
	// that is passed to a method is ignored.
	Tenant string
	// Migrate lets Open create a SQLite file that does not exist, and bring the schema of the database up to date, also
	// an empty one. Without it, Open changes nothing.
	Migrate bool
	// Actor is recorded in the history as the one who started and controlled runs; empty means "client".
	Actor string
	// Log receives what a worker process logs: failed attempts, ended runs, and trouble with the database that the
	// client recovers from. Nil means that nothing is logged.
	Log *zap.Logger
}

// Client is one tenant of one database. Create it with Open or New. It is safe for concurrent use.
type Client struct {
	db        *db.DB
	owned     bool // Close closes db
	tenant    string
	actor     string
	log       *zap.Logger
	events    *eventstore.Repository
	outbox    *outbox.Repository
	leases    *leases.Repository
	tasks     *taskstore.Repository
	pipelines *engine.Repository
	engine    *engine.Engine
	ends      endWatcher

	alive context.Context // of the tenant; ends with Close
	end   context.CancelFunc

	mu         sync.Mutex
	closed     bool
	workers    map[*Worker]bool // that run
	background sync.WaitGroup
}

// Open opens the database that a URL names: sqlite://PATH or postgres://USER@HOST/DATABASE. It returns db.ErrInvalidURL
// for another URL, db.ErrUnavailable if the database cannot be reached, and db.ErrTenantNotFound if it has no such
// tenant. Unless Options.Migrate is set, it returns db.ErrFileNotFound if there is no SQLite file, and
// db.ErrSchemaOutdated if the schema is older than this program or empty. If the schema is newer, it returns
// db.ErrSchemaTooNew in any case.
//
// ctx is used only to open the database.
func Open(ctx context.Context, url string, o Options) (*Client, error) {
	open := db.OpenExisting
	if o.Migrate {
		open = db.Open
	}
	d, err := open(ctx, url)
	if err != nil {
		return nil, err
	}
	c := New(d, o)
	c.owned = true
	ctx = db.WithTenant(ctx, c.tenant)
	if o.Migrate {
		err = d.Migrate(ctx)
	} else {
		err = d.CheckSchema(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, c.Close()) //nolint:contextcheck // ctx may have ended
	}
	return c, nil
}

// New returns a client of a database that the caller has opened and migrated. Close does not close that database, so
// that the clients of several tenants can share its connections. New ignores Options.Migrate.
func New(d *db.DB, o Options) *Client {
	c := &Client{db: d, tenant: o.Tenant, actor: o.Actor, log: o.Log, workers: map[*Worker]bool{}}
	if c.tenant == "" {
		c.tenant = db.DefaultTenant
	}
	if c.actor == "" {
		c.actor = "client"
	}
	if c.log == nil {
		c.log = zap.NewNop()
	}
	c.events, c.outbox, c.leases = eventstore.NewRepository(d), outbox.NewRepository(d), leases.NewRepository(d)
	c.tasks = taskstore.NewRepository(d, c.events, c.outbox)
	c.pipelines = engine.NewRepository(d, c.events)
	c.engine = engine.NewEngine(d, c.leases, c.events, c.outbox, c.tasks, c.pipelines)
	c.ends = endWatcher{client: c, waiting: map[ID]map[chan error]bool{}, added: make(chan struct{}, 1)}
	c.alive, c.end = context.WithCancel(db.WithTenant(context.Background(), c.tenant))
	return c
}

// Close stops the client's workers as Worker.Stop does, each within its WorkerConfig.Drain, ends calls of Wait and Tail
// that have not returned, and closes the database if Open opened it. It returns the errors of the workers and of the
// database. Further calls do nothing.
func (c *Client) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	c.closed = true
	running := make([]*Worker, 0, len(c.workers))
	for w := range c.workers {
		running = append(running, w)
	}
	c.mu.Unlock()
	c.end()
	for _, w := range running {
		w.stop()
	}
	var errs []error
	for _, w := range running {
		errs = append(errs, w.Stop(context.Background()))
	}
	c.background.Wait()
	if c.owned {
		errs = append(errs, c.db.Close())
	}
	return errors.Join(errs...)
}

// Engine returns the engine, for the use cases that Client has no method for: annotations, the preview of a retry, and
// control of many runs at once. A context that is passed to it must name the tenant (db.WithTenant) unless that is the
// default one.
func (c *Client) Engine() *engine.Engine { return c.engine }

// in returns a context of the client's tenant, or ErrClosed.
func (c *Client) in(ctx context.Context) (context.Context, error) {
	if c.alive.Err() != nil {
		return ctx, ErrClosed
	}
	return db.WithTenant(ctx, c.tenant), nil
}

// goBackground calls run on a goroutine that Close waits for. It does nothing if the client is closed.
func (c *Client) goBackground(run func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.background.Go(run)
	}
}

// Get returns a run with its input and labels. It returns pipelines.ErrExecutionNotFound if there is none.
func (c *Client) Get(ctx context.Context, id ID) (pipelines.Execution, error) {
	ctx, err := c.in(ctx)
	if err != nil {
		return pipelines.Execution{}, err
	}
	return c.pipelines.Get(ctx, id)
}

// List returns the runs that a filter selects, with their inputs and labels, newest first. A list is continued with the
// last ID in Filter.Before. Without Filter.Limit, it holds all of them in memory.
func (c *Client) List(ctx context.Context, f Filter) ([]pipelines.Execution, error) {
	ctx, err := c.in(ctx)
	if err != nil {
		return nil, err
	}
	return c.pipelines.List(ctx, f)
}

// Tasks returns the tasks of a run with their outputs and errors, in the order of the definition. For an unknown run
// the list is empty.
func (c *Client) Tasks(ctx context.Context, id ID) ([]tasks.Task, error) {
	ctx, err := c.in(ctx)
	if err != nil {
		return nil, err
	}
	return c.tasks.ListByPipeline(ctx, id)
}

// Tail returns every committed event after a position once, in their order, and then waits for later ones, until ctx
// ends (the last error is ctx.Err), the client is closed (ErrClosed), or the caller leaves the loop. A caller that
// stores Batch.Cursor with what it has done continues from there after a restart. If the database fails after it has
// been reached, Tail calls TailOptions.Notice and reconnects. For a cursor of another history, such as that of a
// database that was restored from an older copy, the error is an *eventstore.CursorMismatchError.
func (c *Client) Tail(ctx context.Context, from Cursor, o TailOptions) iter.Seq2[Batch, error] {
	return func(yield func(Batch, error) bool) {
		ctx, err := c.in(ctx)
		if err != nil {
			yield(Batch{}, err)
			return
		}
		ctx, end := context.WithCancel(ctx)
		defer end()
		defer context.AfterFunc(c.alive, end)() //nolint:contextcheck // the tail ends with either
		for b, err := range c.events.Tail(ctx, from, o) {
			if err != nil && c.alive.Err() != nil {
				err = ErrClosed
			}
			if !yield(b, err) {
				return
			}
		}
	}
}

// End returns the position after all events that have been committed: a Tail from there returns only later ones. It
// waits for open transactions.
func (c *Client) End(ctx context.Context) (Cursor, error) {
	ctx, err := c.in(ctx)
	if err != nil {
		return Cursor{}, err
	}
	return c.events.End(ctx, func(eventstore.Notice) {})
}
