// Package bench measures the engine on a given database. Real workers, as in `serve`, run tasks without work in a
// separate tenant. All writes go through the engine. The tenant is removed at the end.
package bench

import (
	"context"
	"errors"
	"runtime/pprof"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sluiceworks/sluice/modules/audit"
	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/workers"
	"github.com/sluiceworks/sluice/platform/db"
)

// Deps are the dependencies of a benchmark.
type Deps struct {
	Workers workers.Deps
	Handler *Handler // one of the handlers of Workers
	Auditor *audit.Auditor
}

// Bench runs one benchmark.
type Bench struct {
	deps    Deps
	tally   *counter
	helpers []colleague
}

// colleague is a process of the benchmark: this process or a helper.
type colleague interface {
	observe(ctx context.Context) error
	account(ctx context.Context) (Account, error)
	leave() error
}

// New returns a benchmark, which can be run once.
func New(d Deps) *Bench { return &Bench{deps: d, tally: newTally()} }

// dropping is the time limit for the removal of the tenant.
const dropping = 2 * time.Minute

// Run creates the context's tenant, measures in it, verifies all of it, and removes it, even if ctx ends. With
// Config.Keep the tenant is kept. Run fails if the tenant exists already. The result is complete only if the error is
// nil. Violations are not errors; they are in the report.
func (b *Bench) Run(ctx context.Context, p Plan) (r Result, report audit.Report, err error) {
	d := b.deps.Workers.DB
	if !p.config.Keep {
		defer func() {
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), dropping)
			defer cancel()
			if dropped := d.DropTenant(last, nil); !errors.Is(dropped, db.ErrTenantNotFound) {
				err = errors.Join(err, dropped)
			}
		}()
	}
	if err := d.CreateTenant(ctx); err != nil {
		return r, report, err
	}
	m, err := b.work(ctx, p)
	if err != nil {
		return r, report, err
	}
	ready, err := readyTimes(ctx, d, m.account.Samples, len(p.graph))
	if err != nil {
		return r, report, err
	}
	report, err = b.deps.Auditor.Verify(ctx, audit.Options{MaxViolations: 100, Progress: func(r audit.Report) {
		p.progress("checking", int64(r.Events), 0)
	}})
	if err != nil {
		return r, report, err
	}
	return m.result(p, db.TenantOf(ctx), d.Backend(), ready, report), report, nil
}

// work starts the processes, prepares the database, measures, and stops the processes.
func (b *Bench) work(ctx context.Context, p Plan) (m measured, err error) {
	defer func() { err = errors.Join(err, b.dismiss()) }()
	if err := b.gather(ctx, p); err != nil {
		return m, err
	}
	if err := b.prepare(ctx, p); err != nil {
		return m, err
	}
	if p.config.HoldSnapshot {
		release, err := hold(ctx, b.deps.Workers.DB.URL())
		if err != nil {
			return m, err
		}
		defer func() { err = errors.Join(err, release()) }()
	}
	return b.measure(ctx, p)
}

// gather starts all processes of the benchmark and waits until they have joined.
func (b *Bench) gather(ctx context.Context, p Plan) error {
	m, err := join(ctx, b.deps.Workers, p.config.Slots, b.deps.Handler, b.tally)
	if err != nil {
		return err
	}
	b.helpers = append(b.helpers, m)
	for range p.config.Processes - 1 {
		far, err := begin(ctx, p.config.Helper(), b.tally)
		if err != nil {
			return err
		}
		b.helpers = append(b.helpers, far)
	}
	return nil
}

// dismiss stops all processes. This process's workers stop last.
func (b *Bench) dismiss() error {
	var errs []error
	for len(b.helpers) > 0 {
		last := len(b.helpers) - 1
		errs = append(errs, b.helpers[last].leave())
		b.helpers = b.helpers[:last]
	}
	return errors.Join(errs...)
}

// run starts a load and waits until all its tasks have ended.
func (b *Bench) run(ctx context.Context, p Plan, what string, l load) error {
	from := b.tally.count()
	done := p.watch(ctx, what, int64(l.tasks()), func() int64 { return b.tally.count() - from })
	defer done()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return b.feed(ctx, l) })
	group.Go(func() error { return b.tally.await(ctx, from+int64(l.tasks())) })
	return group.Wait()
}

// runInThirds runs a load and records when one third and two thirds of its tasks had ended.
func (b *Bench) runInThirds(ctx context.Context, p Plan, l load, thirds *[2]time.Time) error {
	from := b.tally.count()
	group, ctx := errgroup.WithContext(ctx)
	for i := range thirds {
		group.Go(func() error {
			if err := b.tally.await(ctx, from+p.third(i+1)); err != nil {
				return err
			}
			thirds[i] = b.deps.Workers.DB.Now()
			return nil
		})
	}
	group.Go(func() error { return b.run(ctx, p, "measuring", l) })
	return group.Wait()
}

// measured has the raw values of a measurement.
type measured struct {
	began, ended   time.Time // by the database's clock
	before, after  db.Measure
	events         int64   // that existed before the measurement
	account        Account // of all processes together
	server         float64 // processor seconds of the database server
	serverReadable bool
	thirds         [2]time.Time // when one third and two thirds of the tasks had ended
}

func (b *Bench) measure(ctx context.Context, p Plan) (m measured, err error) {
	d := b.deps.Workers.DB
	def, err := define(b.deps.Workers.Handlers, "bench-"+string(p.config.Shape), p.graph,
		definition.Task{Uses: handlerName})
	if err != nil {
		return m, err
	}
	if m.events, err = countEvents(ctx, d, p); err != nil {
		return m, err
	}
	if m.before, err = d.Measure(ctx); err != nil {
		return m, err
	}
	for _, c := range b.helpers {
		if err := c.observe(ctx); err != nil {
			return m, err
		}
	}
	cpu, readable := serverCPU(m.before.ServerPID)
	if p.config.Profile != nil {
		if err := pprof.StartCPUProfile(p.config.Profile); err != nil {
			return m, err
		}
		defer pprof.StopCPUProfile()
	}
	m.began = d.Now()
	if err := b.runInThirds(ctx, p, load{def: def, runs: p.runs, rate: p.config.Rate, ahead: p.config.Ahead},
		&m.thirds); err != nil {
		return m, err
	}
	after, readableStill := serverCPU(m.before.ServerPID)
	m.server, m.serverReadable = after-cpu, readable && readableStill
	for _, c := range b.helpers {
		a, err := c.account(ctx)
		if err != nil {
			return m, err
		}
		m.account.add(a)
	}
	m.ended = time.UnixMicro(m.account.LastCommit)
	m.after, err = d.Measure(ctx)
	return m, err
}
