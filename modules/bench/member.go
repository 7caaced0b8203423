package bench

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/workers"
	"github.com/sluiceworks/sluice/platform/db"
)

// Account is what one process has done and used since observe.
type Account struct {
	CPUSeconds   float64  `json:"cpu_seconds"`
	PeakMemory   int64    `json:"peak_memory_bytes"` // since the process started
	Transactions int64    `json:"transactions"`
	LastCommit   int64    `json:"last_commit"` // microseconds since 1970 by the database's clock
	Lost         int64    `json:"lost"`        // attempts with a lost claim
	Samples      []Sample `json:"samples"`
}

// Member is one process's part of a benchmark: a pool as in `serve`, and its counters. It is the pool's Observer.
type Member struct {
	db      *db.DB
	pool    *workers.Pool
	handler *Handler
	tally   *counter
	stop    context.CancelFunc
	ended   chan error

	last, lost   atomic.Int64
	cpu          float64 // when observing began, as is transactions
	transactions int64
}

var errEndedEarly = errors.New("the workers ended before the work")

// join starts a pool and waits until it has registered. The caller must call leave.
func join(ctx context.Context, deps workers.Deps, slots int, handler *Handler, t *counter) (*Member, error) {
	m := &Member{db: deps.DB, handler: handler, tally: t, ended: make(chan error, 1)}
	m.pool = workers.New(workers.Config{Slots: slots, Observer: m}, deps)
	working, stop := context.WithCancel(ctx)
	m.stop = stop
	go func() {
		err := m.pool.Run(working)
		if working.Err() == nil {
			t.fail(errors.Join(errEndedEarly, err))
		}
		m.ended <- err
	}()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for m.pool.State().Worker == "" {
		select {
		case err := <-m.ended:
			stop()
			return nil, errors.Join(errEndedEarly, err, ctx.Err())
		case <-tick.C:
		}
	}
	return m, nil
}

// leave stops the pool and returns the error of its Run.
func (m *Member) leave() error {
	m.stop()
	return <-m.ended
}

// observe resets the counters and starts the measurement.
func (m *Member) observe(context.Context) error {
	cpu, _, err := usage()
	if err != nil {
		return err
	}
	m.cpu, m.transactions = cpu, m.db.Committed()
	m.last.Store(0)
	m.lost.Store(0)
	m.handler.observe()
	return nil
}

// account returns the counters since observe.
func (m *Member) account(context.Context) (Account, error) {
	cpu, memory, err := usage()
	if err != nil {
		return Account{}, err
	}
	return Account{
		CPUSeconds: cpu - m.cpu, PeakMemory: memory, Transactions: m.db.Committed() - m.transactions,
		LastCommit: m.last.Load(), Lost: m.lost.Load(), Samples: m.handler.noted(),
	}, nil
}

// Claimed does nothing: the benchmark does not use this event.
func (m *Member) Claimed(int, time.Duration) {}

// Ran does nothing.
func (m *Member) Ran(string, time.Duration) {}

// Recorded does nothing.
func (m *Member) Recorded(int, time.Duration) {}

// Waited does nothing.
func (m *Member) Waited(string, string, time.Duration) {}

// RunEnded does nothing.
func (m *Member) RunEnded(*pipelines.Execution) {}

// Recovered does nothing.
func (m *Member) Recovered(int) {}

// RecoveryFailed does nothing.
func (m *Member) RecoveryFailed() {}

// NotStarted does nothing.
func (m *Member) NotStarted() {}

// Finished counts a task that has succeeded or was deferred. A failed task fails the benchmark.
func (m *Member) Finished(kind pipelines.OutcomeKind) {
	switch kind {
	case pipelines.OutcomeSucceeded, pipelines.OutcomeDeferred:
		m.last.Store(m.db.Now().UnixMicro())
		m.tally.add(1)
	case pipelines.OutcomeFailed:
		m.tally.fail(fmt.Errorf(
			"a task of the benchmark failed: `sluice bench --keep` leaves its history to be looked at"))
	}
}

// Lost counts an attempt whose claim was lost.
func (m *Member) Lost() { m.lost.Add(1) }
