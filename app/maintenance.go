package app

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/fx"
	"go.uber.org/zap"

	"github.com/sluiceworks/sluice/modules/retention"
	"github.com/sluiceworks/sluice/modules/rundirs"
	"github.com/sluiceworks/sluice/modules/seal"
	"github.com/sluiceworks/sluice/modules/workers"
	"github.com/sluiceworks/sluice/platform/db"
)

// maintenanceFlags are a server's settings for retention and seals.
type maintenanceFlags struct {
	retain retainFlags
	every  time.Duration
	seal   bool
}

func (f *maintenanceFlags) add(cmd *cobra.Command) {
	f.retain.add(cmd)
	f.every = time.Hour
	cmd.Flags().Var(&durationFlag{&f.every, minLease}, "cleanup-interval",
		"look for what is old enough once in `DURATION`, whatever the number of processes")
	sealFlag(cmd, &f.seal)
}

// maintenance runs retention and sealing.
type maintenance struct {
	fx.In
	Retention *retention.Cleaner
	Sealer    *seal.Sealer
	DB        *db.DB
}

// prepare does what must be done before a tenant is served.
func (k maintenance) prepare(ctx context.Context, f maintenanceFlags) error {
	if f.seal {
		return k.Sealer.Enable(ctx)
	}
	return nil
}

// start starts retention and sealing beside a server. stop ends them and waits.
func (k maintenance) start(
	ctx context.Context, f maintenanceFlags, dirs *rundirs.Store, log *zap.Logger,
) (stop func()) {
	stopRetention := f.retain.background(ctx, k.Retention, f.every, log)
	ctx, cancel := context.WithCancel(ctx)
	var ended sync.WaitGroup
	ended.Go(func() { k.Sealer.RunEvery(ctx, log) }) // seals what any process ended, if the database says so
	ended.Go(func() { k.sweep(ctx, dirs, f.every, log) })
	return func() {
		cancel()
		ended.Wait()
		stopRetention()
	}
}

// sweep removes this machine's directories of runs now and once in every, until ctx ends, whichever process runs the
// retention.
func (k maintenance) sweep(ctx context.Context, dirs *rundirs.Store, every time.Duration, log *zap.Logger) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		sweepRunDirs(ctx, dirs, k.DB, log)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// maintenanceJobs run the keeping of each served tenant.
type maintenanceJobs struct {
	keeping maintenance
	flags   maintenanceFlags
	dirs    *rundirs.Store
	log     *zap.Logger

	mu    sync.Mutex
	stops map[string]func()
}

func newMaintenanceJobs(k maintenance, f maintenanceFlags, dirs *rundirs.Store, log *zap.Logger) *maintenanceJobs {
	return &maintenanceJobs{keeping: k, flags: f, dirs: dirs, log: log, stops: map[string]func(){}}
}

func (k *maintenanceJobs) begin(ctx context.Context, tenant string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.stops[tenant] = k.keeping.start(db.WithTenant(ctx, tenant), k.flags, k.dirs,
		k.log.With(zap.String("tenant", tenant)))
}

func (k *maintenanceJobs) end(tenant string) {
	k.mu.Lock()
	stop := k.stops[tenant]
	delete(k.stops, tenant)
	k.mu.Unlock()
	if stop != nil {
		stop()
	}
}

func (k *maintenanceJobs) stopAll() {
	k.mu.Lock()
	tenants := slices.Collect(maps.Keys(k.stops))
	k.mu.Unlock()
	for _, tenant := range tenants {
		k.end(tenant)
	}
}

// chainHooks calls two functions when a pool begins. a may be nil.
func chainHooks(a, b func(string, *workers.Pool)) func(string, *workers.Pool) {
	if a == nil {
		return b
	}
	return func(tenant string, p *workers.Pool) {
		a(tenant, p)
		b(tenant, p)
	}
}

// chainEndHooks is both for the end.
func chainEndHooks(a, b func(string)) func(string) {
	if a == nil {
		return b
	}
	return func(tenant string) {
		a(tenant)
		b(tenant)
	}
}

func sealFlag(cmd *cobra.Command, on *bool) {
	cmd.Flags().BoolVar(on, "seal", false,
		"seal executions when they end, from now on and whichever process ends them; 'sluice seal --off' ends that")
}
