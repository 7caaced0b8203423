package workers

import (
	"time"

	"github.com/sluiceworks/sluice/modules/pipelines"
)

// Observer is told what a pool does, as it does it, by several goroutines at once. It must be quick: the pool waits for
// it.
type Observer interface {
	// Claimed tells of a claim that has been committed, of n tasks or none, and how long its transaction took.
	Claimed(n int, took time.Duration)
	// Waited tells how long a task that was claimed had been due in its queue.
	Waited(queue, handler string, d time.Duration)
	// RunEnded tells of a run that has ended, once: by this process, or by one that nobody observes.
	RunEnded(x *pipelines.Execution)
	// Ran tells how long a handler ran.
	Ran(handler string, took time.Duration)
	// Recorded tells of a group of n outcomes that has been committed, and how long that took, tries that failed
	// included.
	Recorded(n int, took time.Duration)
	// Finished tells of an attempt whose outcome has been recorded; Lost of one whose outcome was refused.
	Finished(kind pipelines.OutcomeKind)
	// Lost tells of an attempt whose claim was lost: its outcome changed nothing.
	Lost()
	// Recovered tells of n tasks that were taken back from workers whose leases had expired.
	Recovered(n int)
	// NotStarted tells of a task that is given back because this process could not start it.
	NotStarted()
	// RecoveryFailed tells of an execution whose tasks could not be taken back.
	RecoveryFailed()
}

// nopObserver is the Observer of a pool that nobody watches.
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

// State is how a pool stands.
type State struct {
	Worker     string            // its name; empty before it has registered
	Slots      int               // in all
	Used       int               // of them, by tasks whose outcome is not yet recorded
	Capacities []HandlerCapacity // of handlers with a limit, shared by the pools of a process
	Waiting    int               // outcomes that the database has not taken yet, and that are tried again
	CannotRun  string            // why tasks cannot be started, in fixed words; empty: they can
	LeaseLeft  time.Duration     // by the database's clock; 0 or less: expired, or not yet taken
}

// State gives the pool's state now.
func (p *Pool) State() State {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := State{Worker: p.id, Slots: p.config.Slots, Used: p.used, Waiting: p.waiting, Capacities: p.config.Limits.State()}
	if h := p.startup.handler; h != "" {
		s.CannotRun = h + ": " + p.startup.reason
	}
	if !p.expires.IsZero() {
		s.LeaseLeft = p.expires.Sub(p.db.Now())
	}
	return s
}
