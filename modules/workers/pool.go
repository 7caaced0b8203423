// Package workers provides the worker pool. A pool claims due tasks for its free slots, runs their handlers, and
// records the outcomes in groups. It decides no task transitions and writes no task tables; the engine does.
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
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/modules/rundirs"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/modules/tasks/taskstore"
	"github.com/sluiceworks/sluice/modules/workers/slots"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// Config is the configuration of a pool.
type Config struct {
	Slots               int              // how many tasks run at once; 0 or less: DefaultSlots
	Queues              []string         // the queues to serve; empty: the default queue
	Lease               time.Duration    // length of the worker's lease; 0: DefaultLease
	Poll                time.Duration    // the longest time between two polls of the outbox; 0: DefaultPoll
	Drain               time.Duration    // how long a stopping pool waits for running tasks before it releases them
	Kill                <-chan struct{}  // when closed, a stopping pool releases running tasks at once; nil: never
	Private             bool             // work only on one run, which is reserved for this worker; see Pool.WorkOn
	PipelineExecutionID dbtype.ID        // the only run to work on; zero: all runs
	Observer            Observer         // receives the pool's events; nil: none
	Budget              *slots.Semaphore // slots shared with other pools; nil: Slots of its own
	// how many tasks of a handler run at once, where that differs from the handler's own limit
	HandlerLimits map[string]int
	Limits        *slots.Limits  // shared with other pools; nil: made from HandlerLimits
	LogOutcomes   bool           // log each failed attempt and each ended run
	RunDirs       *rundirs.Store // the store of run directories; nil: runs have none
	Echo          Echo           // opens copies of the tasks' output; nil: none
}

// Defaults of Config. New does not apply DefaultDrain.
const (
	DefaultSlots = 1000
	DefaultLease = 15 * time.Second
	DefaultPoll  = 5 * time.Second
	DefaultDrain = 30 * time.Second
)

// shutdownWriteTimeout is the minimum time that a stopping pool tries to record its last outcomes if the database
// fails. It also limits the time for the last logs and for deregistration.
const shutdownWriteTimeout = 10 * time.Second

// sampled lets each log message pass at most once in ten seconds.
var sampled = zap.WrapCore(func(c zapcore.Core) zapcore.Core {
	return zapcore.NewSamplerWithOptions(c, 10*time.Second, 1, 0)
})

// Pool runs tasks in a number of slots. Create it with New, and call Run once.
//
// Its goroutines are two loops, which run the exchanges; one goroutine per running task; those that retry outcomes; and
// one each for pollTrigger (the goroutine of Run), heartbeat, resolveInDoubtLoop, endOverdue, resumeStarts, listen,
// claimEndsLoop and the collector of output.
type Pool struct {
	// Set by New, and by Register and WorkOn before Run.
	config     Config
	engine     *engine.Engine
	tasks      *taskstore.Repository
	outbox     *outbox.Repository
	leases     *leases.Repository
	handlers   *tasks.Registry
	db         *db.DB
	log        *zap.Logger
	sampledLog *zap.Logger   // for messages that repeat while the database fails
	logs       *logCollector // has a lock of its own

	// Set by Run before it starts other goroutines.
	runDirs *rundirs.Dirs           // nil: runs have no directories
	abort   context.CancelCauseFunc // stops Run because of a fatal error

	// Channels and atomic values, which any goroutine uses.
	results           chan *pipelines.Outcome // received by the loops
	wakeup            chan struct{}           // received by the loops: an exchange may be able to claim
	drained           chan bool               // received by pollTrigger: a poll found no more; true: it found nothing
	commits           chan struct{}           // received by pollTrigger: another process committed, a task may be due
	checkClaims       chan struct{}           // received by heartbeat: runs were ended or tasks recovered
	inDoubt           chan struct{}           // received by resolveInDoubtLoop: see markInDoubt
	recoveryDue       chan struct{}           // received by resolveInDoubtLoop: lost workers may have left tasks
	overdue           chan struct{}           // received by endOverdue: a run may reach its deadline early
	startFailed       chan struct{}           // received by resumeStarts: a task could not be started
	runEndsStored     chan struct{}           // received by claimEndsLoop: another process may have stored ends of runs
	retries           chan struct{}           // has one element for each retry in progress
	retrying          sync.WaitGroup          // groups of outcomes that are being retried
	unrecorded        atomic.Bool             // an outcome could not be recorded before the pool stopped
	nextDue           atomic.Int64            // time of the next check for overdue runs, in microseconds since 1970
	claimedSinceCheck atomic.Bool             // something was claimed since the last comparison of claims
	startTimes        startTimeCache          // has a lock of its own

	// Owned by heartbeat.
	server       string // identifies one start of the database server, see leases.Renewed
	sessions     int64
	recoverAfter time.Time

	// claiming is held for reading by each exchange, from its reservation until its claims are in running. A goroutine
	// that holds it may lock mu, but not the other way round.
	claiming sync.RWMutex

	mu            sync.Mutex // guards the fields below
	id            string
	expires       dbtype.Time
	running       map[*pipelines.Claim]context.CancelCauseFunc // until the outcome is recorded
	waiting       int                                          // outcomes that are being retried
	scheduler     *slots.Scheduler
	cursors       map[string]*outbox.ScanCursors // by the handlers of a poll
	startup       startup
	claimFailures int       // consecutive failed claims
	claimAfter    time.Time // end of the pause after a failed claim
}

// Deps are the dependencies of a pool.
type Deps struct {
	DB       *db.DB
	Engine   *engine.Engine
	Tasks    *taskstore.Repository
	Outbox   *outbox.Repository
	Leases   *leases.Repository
	Handlers *tasks.Registry
	Log      *zap.Logger
}

// New returns a pool. Zero fields of the configuration get their defaults, except Drain.
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
	if d.Log == nil {
		d.Log = zap.NewNop()
	}
	if c.Budget == nil {
		c.Budget = slots.NewSemaphore(c.Slots)
	}
	if c.Limits == nil {
		c.Limits = newLimits(c, d)
	}
	p := &Pool{
		config: c, engine: d.Engine, tasks: d.Tasks, outbox: d.Outbox, leases: d.Leases, handlers: d.Handlers, db: d.DB,
		log:     d.Log,
		results: make(chan *pipelines.Outcome, c.Slots), wakeup: make(chan struct{}, 1), drained: make(chan bool, 1),
		checkClaims: make(chan struct{}, 1), runEndsStored: make(chan struct{}, 1), commits: make(chan struct{}, 1),
		inDoubt:     make(chan struct{}, 1),
		startFailed: make(chan struct{}, 1), recoveryDue: make(chan struct{}, 1), overdue: make(chan struct{}, 1),
		running: map[*pipelines.Claim]context.CancelCauseFunc{},
		retries: make(chan struct{}, retryLimit), sampledLog: d.Log.WithOptions(sampled),
	}
	p.logs = newCollector(p)
	p.scheduler = slots.NewScheduler(d.Handlers.Names(), c.Budget, c.Limits, p.wake)
	return p
}

// Run registers the process as a worker and runs tasks until ctx ends. Then it drains: it stops claiming, waits for
// running tasks, releases those that do not end in time, and deregisters. It returns nil after an orderly stop.
// Otherwise it returns the error that prevented the start, a fatal database error, or ErrUnrecorded.
func (p *Pool) Run(ctx context.Context) error {
	if p.workerID() == "" {
		if _, err := p.Register(ctx); err != nil {
			if ctx.Err() != nil {
				return nil // stopped before it started, which is no error
			}
			return err
		}
	}
	if err := p.openRunDirs(ctx); err != nil {
		return err
	}
	ctx, p.abort = context.WithCancelCause(ctx)
	defer p.abort(nil)
	// Running tasks and their outcomes must outlive ctx.
	work, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stop(nil)
	var background sync.WaitGroup
	defer context.AfterFunc(ctx, func() { p.stopOnDatabaseGone(ctx, stop) })()
	background.Go(func() { p.heartbeat(work) })
	background.Go(func() { p.resolveInDoubtLoop(work) })
	background.Go(func() { p.endOverdue(work) })
	background.Go(func() { p.resumeStarts(work) })
	background.Go(func() { p.listen(work) })
	if !p.config.Private { // the end of its run is reported by the servers
		defer p.engine.WatchEnds(ctx, p.runsEnded)()
		background.Go(func() { p.claimEndsLoop(work) })
	}
	background.Go(func() { p.logs.run(work) })
	var handlers, loops sync.WaitGroup
	for range concurrentExchanges {
		loops.Go(func() { p.runLoop(ctx, work, &handlers) })
	}
	p.pollTrigger(ctx)
	p.lastClaim()
	defer p.leaveQueues()
	draining := p.db.Now()
	background.Go(func() { p.markDraining(work) })
	p.drain(&handlers)
	close(p.results)
	last := time.AfterFunc(max(shutdownWriteTimeout, p.config.Drain-p.db.Now().Sub(draining)),
		func() { stop(errStopping) })
	loops.Wait()
	p.retrying.Wait()
	last.Stop()
	stop(errStopping)
	background.Wait()
	if isFatal(context.Cause(ctx)) {
		return context.Cause(ctx)
	}
	p.logs.flush(context.WithoutCancel(ctx))
	if p.unrecorded.Load() {
		return ErrUnrecorded // the row stays: when the lease expires, other workers recover the tasks
	}
	p.deregister(context.WithoutCancel(ctx))
	return nil
}

// openRunDirs finds the run directories of this database.
func (p *Pool) openRunDirs(ctx context.Context) (err error) {
	if p.config.RunDirs == nil {
		return nil
	}
	p.runDirs, err = p.config.RunDirs.Of(ctx, p.db)
	return err
}

// Register registers the worker before Run does. It returns the worker's id, for which a run can be reserved. A caller
// that does not call Run must call Engine.Deregister.
func (p *Pool) Register(ctx context.Context) (worker string, err error) {
	// Open the heartbeat's connection first. Later the server may have no connection left.
	if err := p.register(db.WithHeartbeatPool(ctx)); err != nil {
		return "", err
	}
	return p.workerID(), nil
}

// WorkOn sets the run that a private pool works on. Call it before Run.
func (p *Pool) WorkOn(id dbtype.ID) { p.config.PipelineExecutionID = id }

// register registers this process under a new id. Ids are never reused, because a worker could mistake an old claim for
// its own.
func (p *Pool) register(ctx context.Context) error {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	id := fmt.Sprintf("%s-%d-%s", host, os.Getpid(), dbtype.NewID().String()[24:])
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

// lastClaim waits for the exchanges in progress. If the context of Run has ended, later exchanges claim nothing.
func (p *Pool) lastClaim() {
	p.claiming.Lock()
	defer p.claiming.Unlock()
}
