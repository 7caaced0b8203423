package workers

import (
	"time"

	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/workers/slots"
)

// Observer receives the events of a pool as they occur. Several goroutines call it at once. Its methods must not block,
// because the pool waits for them.
type Observer interface {
	// Claimed reports a committed claim of n tasks, which may be 0, and the duration of its transaction.
	Claimed(n int, took time.Duration)
	// Waited reports how long a claimed task had been due in its queue.
	Waited(queue, handler string, d time.Duration)
	// RunEnded reports each ended run once, whether this process ended it or a process without an observer did.
	RunEnded(x *pipelines.Execution)
	// Ran reports how long a handler ran.
	Ran(handler string, took time.Duration)
	// Recorded reports that n outcomes were committed, and how long that took, including failed tries.
	Recorded(n int, took time.Duration)
	// Finished reports an attempt whose outcome was recorded.
	Finished(kind pipelines.OutcomeKind)
	// Lost reports an attempt whose claim was lost, so that its outcome was refused.
	Lost()
	// Recovered reports that n tasks were recovered from workers whose leases had expired.
	Recovered(n int)
	// NotStarted reports a task that was released because this process could not start it.
	NotStarted()
	// RecoveryFailed reports a run whose tasks could not be recovered.
	RecoveryFailed()
}

// nopObserver is the default Observer, which ignores all events.
type nopObserver struct{}

func (nopObserver) Claimed(int, time.Duration)           {}
func (nopObserver) Waited(string, string, time.Duration) {}
func (nopObserver) RunEnded(*pipelines.Execution)        {}
func (nopObserver) Ran(string, time.Duration)            {}
func (nopObserver) Recorded(int, time.Duration)          {}
func (nopObserver) Finished(pipelines.OutcomeKind)       {}
func (nopObserver) Lost()                                {}
func (nopObserver) Recovered(int)                        {}
func (nopObserver) RecoveryFailed()                      {}
func (nopObserver) NotStarted()                          {}

// State is a snapshot of a pool.
type State struct {
	Worker     string           // the worker's id; empty before registration
	Slots      int              // total number
	Used       int              // slots of tasks whose outcomes are not yet recorded, and slots reserved by exchanges
	Capacities []slots.Capacity // of handlers with a limit, shared by the pools of a process
	Waiting    int              // outcomes that could not be recorded yet and are retried
	CannotRun  string           // why tasks cannot be started, without private data; empty: they can
	LeaseLeft  time.Duration    // by the database's clock; 0 or less: expired, or not yet registered
}

// State returns the current state of the pool.
func (p *Pool) State() State {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := State{
		Worker: p.id, Slots: p.config.Slots, Used: p.scheduler.Used(), Waiting: p.waiting,
		Capacities: p.config.Limits.State(),
	}
	if h := p.startup.handler; h != "" {
		s.CannotRun = h + ": " + p.startup.reason
	}
	if !p.expires.IsZero() {
		s.LeaseLeft = p.expires.Sub(p.db.Now())
	}
	return s
}
