package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/sluiceworks/sluice/modules/audit"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// round is one run of faults with its own database, from an empty schema to the last check.
type round struct {
	config    Config
	server    *server // nil with SQLite
	proxy     *proxy  // nil with SQLite
	name      string  // of the database in PostgreSQL
	db        *db.DB  // the tests' own connection to the database, without the proxy
	processes *processes
	feeder    *feeder
	logs      *logs

	mu      sync.Mutex
	report  Report
	outages []span
	back    time.Time // when the server last came back
	served  servedClock
}

// Run runs the faults on a new database of the given server, or on a new SQLite file if s is nil.
func Run(ctx context.Context, c Config, s *Server) (report Report, err error) {
	begin := time.Now()
	r := &round{config: c, logs: newLogs(), report: Report{Strikes: map[string]int{}}}
	defer func() { report.Seconds = time.Since(begin).Seconds() }()
	if s != nil {
		r.server = s.server
	}
	c.Dir = filepath.Join(c.Dir, "round-"+short(dbtype.NewID()))
	if err := os.Mkdir(c.Dir, 0o755); err != nil {
		return r.report, err
	}
	direct, through, err := r.prepare(ctx, c.Dir)
	if err != nil {
		return r.report, err
	}
	if r.db, err = openMigrated(ctx, direct); err != nil {
		return r.report, err
	}
	feeding, err := db.Open(ctx, through)
	if err != nil {
		return r.report, errors.Join(err, r.db.Close())
	}
	if r.feeder, err = newFeeder(feeding, c.Open, c.Poison); err == nil {
		r.processes = newProcesses(c, through, r.logs)
		err = r.run(ctx)
	}
	err = errors.Join(err, feeding.Close(), r.db.Close())
	if r.proxy != nil {
		err = errors.Join(err, r.proxy.close())
	}
	if r.server != nil && err == nil && len(r.report.Breaches) == 0 {
		err = r.server.dropDatabase(ctx, r.name)
	}
	return r.report, err
}

// prepare creates the database, and returns its URL for the tests and for the workers.
func (r *round) prepare(ctx context.Context, dir string) (direct, through string, err error) {
	if r.server == nil {
		file := r.config.File
		if file == "" {
			file = filepath.Join(dir, "sluice.db")
		}
		return "sqlite://" + file, "sqlite://" + file, nil
	}
	r.name = "chaos_" + short(dbtype.NewID())
	if err := r.server.createDatabase(ctx, r.name); err != nil {
		return "", "", err
	}
	if r.config.Forgets {
		return r.server.eitherURL(r.name, driverApplication, false),
			r.server.eitherURL(r.name, workerApplication, true), nil
	}
	if r.proxy, err = startProxy(ctx, r.server.address()); err != nil {
		return "", "", err
	}
	direct = r.server.url(r.server.address(), superuser, r.name, driverApplication)
	return direct, r.server.url(r.proxy.address(), workerRole, r.name, workerApplication), nil
}

func openMigrated(ctx context.Context, url string) (*db.DB, error) {
	d, err := db.Open(ctx, url)
	if err != nil {
		return nil, err
	}
	if err := d.Migrate(ctx); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// run runs the faults, then waits for all runs to end, and then runs the checks.
func (r *round) run(ctx context.Context) error {
	working, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- r.processes.run(working, r.config.Workers) }()
	err := r.storm(ctx)
	if err == nil && !r.config.Brutal {
		err = r.settle(ctx)
	}
	stop()
	if err := errors.Join(err, <-ended); err != nil || r.config.Brutal {
		return err
	}
	return r.judge(ctx)
}

// storm starts pipelines and injects faults until all goals have been reached or the time is over.
func (r *round) storm(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, r.config.Limit)
	defer cancel()
	var striking, background sync.WaitGroup
	errs := make(chan error, 16)
	for _, s := range r.config.streams(r.server != nil) {
		striking.Go(func() {
			if err := s.run(limited, r, func() { r.struck(ctx, s.fault.name()) }); err != nil {
				errs <- fmt.Errorf("%s: %w", s.fault.name(), err)
				cancel()
			}
		})
	}
	feeding, enough := context.WithCancel(limited)
	defer enough()
	background.Go(func() { r.feeder.run(feeding) })
	background.Go(func() { r.watch(feeding) })
	background.Go(func() { r.tell(feeding) })
	if err := r.feeder.startNamed(limited, r.config.Start); err != nil {
		errs <- err
	}
	striking.Wait()
	r.awaitTransitions(limited)
	enough()
	background.Wait()
	select {
	case err := <-errs:
		return err
	default:
		return ctx.Err()
	}
}

// perTask is the minimum number of transitions of a task: created, ready, claimed, started, ended.
const perTask = 5

func (r *round) awaitTransitions(ctx context.Context) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for int(r.feeder.tasks.Load())*perTask < r.config.Transitions {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// struck counts a strike, and verifies the runs that were open when it came.
func (r *round) struck(ctx context.Context, name string) {
	r.mu.Lock()
	r.report.Strikes[name]++
	r.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, recovery)
	defer cancel()
	if err := r.insist(ctx, func() error { return r.verifyOpen(ctx, name) }); err != nil {
		r.breach("after " + name + ": " + err.Error())
	}
}

// again is the pause before the database is tried again.
const again = 50 * time.Millisecond

// insist calls try until the database can be reached.
func (r *round) insist(ctx context.Context, try func() error) error {
	for {
		err := try()
		if err == nil || !db.Away(err) || ctx.Err() != nil {
			return err
		}
		pause(ctx, again)
	}
}

func (r *round) verifyOpen(ctx context.Context, after string) error {
	ids, err := openIDs(ctx, r.db)
	if err != nil || len(ids) == 0 {
		return err
	}
	return r.verify(ctx, ids, after)
}

// verify verifies some executions, or all.
func (r *round) verify(ctx context.Context, ids []dbtype.ID, after string) error {
	report, err := audit.New(r.db).Verify(ctx, audit.Options{IDs: ids})
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Verifications++
	for _, b := range report.Breaches {
		r.report.Breaches = append(r.report.Breaches, "after "+after+": "+b.String())
		if b.Invariant == audit.I5 {
			r.report.Accepted++
		}
	}
	return nil
}

func (r *round) breach(what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Breaches = append(r.report.Breaches, what)
}
