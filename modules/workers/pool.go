// Package workers is the loop that works: it claims what it has a free slot and a handler for, runs it, and reports how
// it came out, in groups. It decides nothing about tasks and writes none of their tables: the engine does.
package workers

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/sluiceworks/sluice/modules/leases"
	"github.com/sluiceworks/sluice/modules/outbox"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/rundirs"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db"
)

// Config says how a process works.
type Config struct {
	Slots               int             // tasks run at once, at least 1
	Queues              []string        // the queues that the process serves; empty: the default one
	Lease               time.Duration   // how long the process may be silent before others take its tasks
	Poll                time.Duration   // the longest sleep between two looks at the outbox
	Drain               time.Duration   // how long a stopping process waits for running tasks before it gives them back
	Kill                <-chan struct{} // closed: a stopping process gives running tasks back at once; nil: never
	Private             bool            // it works on one execution alone, which is reserved for it: see Pool.WorkOn
	PipelineExecutionID db.ID           // work on this execution alone; zero: on any
	Observer            Observer        // is told what the pool does; nil: nobody
	Budget              *FairSemaphore  // the slots are shared with other pools; nil: they are the pool's own
	// how many tasks of a handler are run at once, where that is not the handler's own limit
	HandlerLimits map[string]int
	Limits        *HandlerLimits // shared with other pools; nil: the pool's own, by HandlerLimits
	LogOutcomes   bool           // log each attempt that fails and each execution that ends
	RunDirs       *rundirs.Store // where runs have their directories; nil: nowhere
	Echo          Echo           // is given what the tasks write, as they write it; nil: nobody
}

// Defaults of Config.
const (
	DefaultSlots = 1000
	DefaultLease = 15 * time.Second
	DefaultPoll  = 5 * time.Second
	DefaultDrain = 30 * time.Second
)

// shutdownWriteTimeout is how long a pool that stops keeps trying to record its last outcomes while the database is
// unwell, if the time for the drain is over.
const shutdownWriteTimeout = 10 * time.Second

// seldomLines lets one line of each text pass in ten seconds.
var seldomLines = zap.WrapCore(func(c zapcore.Core) zapcore.Core {
	return zapcore.NewSamplerWithOptions(c, 10*time.Second, 1, 0)
})

// Pool works with the given number of slots. Make it with New, and run it once.
type Pool struct {
	config   Config
	engine   *pipelines.Engine
	tasks    *tasks.Repository
	outbox   *outbox.Repository
	leases   *leases.Repository
	handlers *tasks.Registry
	db       *db.DB
	log      *zap.Logger

	runDirs    *rundirs.Dirs // nil: runs have none
	results    chan *pipelines.Outcome
	wakeup     chan struct{} // a turn may be worth it
	drained    chan bool     // a look found less than it asked for; true: nothing
	ended      chan struct{} // another process has taken tasks from their workers
	ends       chan struct{} // and may have ended runs
	commits    chan struct{} // another process has committed something: a task may have become due
	starts     chan struct{} // a task could not be started
	startTimes startTimeCache
	logs       *collector
	unrecorded atomic.Bool // an outcome could not be written before the end
	outage     *zap.Logger // for what is said again and again while the database is unwell

	inDoubt chan struct{} // tasks may be Running in this worker's name that it does not run
	lost    chan struct{} // there may be tasks of lost workers
	overdue chan struct{} // a run may reach its deadline before the next look for overdue runs
	nextDue atomic.Int64  // when that look is, in microseconds since 1970
	claimed atomic.Bool   // something was claimed since claims were compared last

	// names the database server since its last start; see leases.Renewed. Of the heartbeat alone, as the next two.
	server       string
	sessions     int64
	recoverAfter time.Time

	retrying sync.WaitGroup // sets of outcomes that are tried again
	retries  chan struct{}  // holds one for each such try under way

	claiming sync.RWMutex // held for reading by every turn, from its beginning until its claims are in running

	mu      sync.Mutex
	id      string
	expires db.Time
	abort   context.CancelCauseFunc                      // ends Run for a reason that is fatal
	running map[*pipelines.Claim]context.CancelCauseFunc // until the outcome is recorded
	// slots: of running tasks, and those reserved by turns under way
	used          int
	seat          *member // where the pool gets its slots
	waiting       int     // outcomes that the database has not taken yet
	startup       startup
	claimFailures int       // in a row
	claimAfter    time.Time // no claim before, after one that failed

	limits    map[string]*member // of handlers with a limit: where the pool gets room for their tasks
	shared    pollGroup
	saturated map[string]*pollGroup // the searches of handlers that have too little room for the common one
	cursors   map[string]*outbox.ScanCursors
	polls     int
}

// Deps are what a pool works with.
type Deps struct {
	DB       *db.DB
	Engine   *pipelines.Engine
	Tasks    *tasks.Repository
	Outbox   *outbox.Repository
	Leases   *leases.Repository
	Handlers *tasks.Registry
	Log      *zap.Logger
}

// New makes a pool. Zero fields of the configuration take their defaults.
func New(c Config, d Deps) *Pool {
	if c.Slots <= 0 {
		c.Slots = DefaultSlots
	}
	if len(c.Queues) == 0 {
		c.Queues = []string{tasks.DefaultQueue}
	}
	if c.Lease <= 0 {
		c.Lease = DefaultLease
	}
	if c.Poll <= 0 {
		c.Poll = DefaultPoll
	}
	if c.Observer == nil {
		c.Observer = nopObserver{}
	}
	if c.Limits == nil {
		c.Limits = NewHandlerLimits(d.Handlers, c.HandlerLimits, c.Slots)
		if d.Log != nil {
			c.Limits.warn(d.Log)
		}
	}
	if d.Log == nil {
		d.Log = zap.NewNop()
	}
	p := &Pool{
		config: c, engine: d.Engine, tasks: d.Tasks, outbox: d.Outbox, leases: d.Leases, handlers: d.Handlers, db: d.DB, log: d.Log,
		results: make(chan *pipelines.Outcome, c.Slots), wakeup: make(chan struct{}, 1), drained: make(chan bool, 1),
		ended: make(chan struct{}, 1), ends: make(chan struct{}, 1), commits: make(chan struct{}, 1), inDoubt: make(chan struct{}, 1),
		starts: make(chan struct{}, 1), lost: make(chan struct{}, 1), overdue: make(chan struct{}, 1),
		running:   map[*pipelines.Claim]context.CancelCauseFunc{},
		saturated: map[string]*pollGroup{}, retries: make(chan struct{}, retryLimit), outage: d.Log.WithOptions(seldomLines),
	}
	p.logs = newCollector(p)
	p.seat = c.Budget.join(p.wake)
	p.limits = p.config.Limits.join(p.wake)
	return p
}

// Run registers the process as a worker and works until ctx ends; then it drains: it claims nothing more, waits for
// what runs, gives back what does not end in time, and deregisters. It returns what kept it from beginning, or from
// ending in order.
func (p *Pool) Run(ctx context.Context) error {
	if p.workerID() == "" {
		if _, err := p.Register(ctx); err != nil {
			if ctx.Err() != nil {
				return nil // stopped before it began: an end in order
			}
			return err
		}
	}
	if err := p.openRunDirs(ctx); err != nil {
		return err
	}
	ctx, p.abort = context.WithCancelCause(ctx)
	defer p.abort(nil)
	// What is under way must be recorded, whatever became of ctx.
	work, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stop(nil)
	var background sync.WaitGroup
	defer context.AfterFunc(ctx, func() { p.stopOnTenantGone(ctx, stop) })()
	background.Go(func() { p.heartbeat(work) })
	background.Go(func() { p.resolveInDoubtLoop(work) })
	background.Go(func() { p.endOverdue(work) })
	background.Go(func() { p.resumeStarts(work) })
	background.Go(func() { p.listen(work) })
	if !p.config.Private { // its run's end is for the servers to tell of
		defer p.engine.WatchEnds(ctx, p.runsEnded)()
		background.Go(func() { p.takeEnds(work) })
	}
	background.Go(func() { p.logs.run(work) })
	var handlers, turning sync.WaitGroup
	for range concurrentExchanges {
		turning.Go(func() { p.runLoop(ctx, work, &handlers) })
	}
	p.pollScheduler(ctx)
	p.lastClaim()
	defer p.leaveQueue()
	draining := p.db.Now()
	background.Go(func() { p.markDraining(work) })
	p.drain(&handlers)
	close(p.results)
	last := time.AfterFunc(max(shutdownWriteTimeout, p.config.Drain-p.db.Now().Sub(draining)), func() { stop(errStopping) })
	turning.Wait()
	p.retrying.Wait()
	last.Stop()
	stop(errStopping)
	background.Wait()
	if isFatal(context.Cause(ctx)) {
		return context.Cause(ctx)
	}
	p.logs.last(context.WithoutCancel(ctx))
	if p.unrecorded.Load() {
		return ErrUnrecorded // the row stays: when its lease expires, others take those tasks back
	}
	p.deregister(context.WithoutCancel(ctx))
	return nil
}

// openRunDirs finds where this database's runs have their directories.
func (p *Pool) openRunDirs(ctx context.Context) (err error) {
	if p.config.RunDirs == nil {
		return nil
	}
	p.runDirs, err = p.config.RunDirs.Of(ctx, p.db)
	return err
}

// Register announces the process before Run does, and returns the worker's id, for which a run may be reserved. Whoever
// does not go on to Run calls Engine.Deregister.
func (p *Pool) Register(ctx context.Context) (worker string, err error) {
	// The heartbeat's connection is made first: a server whose connections are all taken gives no other.
	if err := p.register(db.WithHeartbeatPool(ctx)); err != nil {
		return "", err
	}
	return p.workerID(), nil
}

// WorkOn says, before Run, which execution a private pool works on.
func (p *Pool) WorkOn(id db.ID) { p.config.PipelineExecutionID = id }

// register announces this process under a name that nobody has had before: a name used again could take an old claim
// for its own.
func (p *Pool) register(ctx context.Context) error {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	id := fmt.Sprintf("%s-%d-%s", host, os.Getpid(), db.NewID().String()[24:])
	w := leases.Worker{
		ID: id, Hostname: host, PID: os.Getpid(), Slots: p.config.Slots,
		Handlers: strings.Join(p.handlers.Names(), ","), Queues: strings.Join(p.config.Queues, ","),
		Limits: p.config.Limits.String(),
	}
	if p.config.Private {
		w.Queues = outbox.PrivateQueue(id)
	}
	expires, err := p.leases.Register(ctx, w, p.config.Lease)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.id, p.expires = id, expires
	return nil
}

func (p *Pool) workerID() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.id
}

// lastClaim returns when no turn that claims is under way; later ones see that their context has ended.
func (p *Pool) lastClaim() {
	p.claiming.Lock()
	defer p.claiming.Unlock()
}
