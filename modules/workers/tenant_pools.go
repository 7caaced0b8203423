package workers

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/sluiceworks/sluice/modules/workers/slots"
	"github.com/sluiceworks/sluice/platform/db"
)

// TenantPoolsConfig is the configuration of TenantPools.
type TenantPoolsConfig struct {
	Config                     // of each tenant's pool; all pools share Slots
	Tenants      []string      // empty: all existing tenants, including those created later
	PollInterval time.Duration // between two polls of the list of tenants; 0: DefaultTenantPoll
	// ObserverOf returns the observer of a tenant's pool, instead of the one in Config; nil: the one in Config, which
	// then receives the events of all pools.
	ObserverOf func(tenant string) Observer
	// BeforePoolStart is called before a tenant's pool starts, with the tenant in the context. If it fails, the pool
	// does not start.
	BeforePoolStart func(ctx context.Context) error
	// OnPoolStart is called when a tenant's pool starts, and OnPoolStop when it has stopped or could not start. Both
	// may be nil.
	OnPoolStart func(tenant string, p *Pool)
	OnPoolStop  func(tenant string)
}

// DefaultTenantPoll is how often a process polls the list of tenants. PostgreSQL also sends notifications.
const DefaultTenantPoll = 2 * time.Second

// retryRefusedEvery replaces DefaultTenantPoll for a process with a single tenant.
const retryRefusedEvery = 30 * time.Second

// maxRefusals is how many polls a tenant that could not be served is skipped.
const maxRefusals = 5

// TenantPools runs one pool for each of several tenants. Create it with NewTenantPools, and call Run once.
type TenantPools struct {
	config   TenantPoolsConfig
	deps     Deps
	budget   *slots.Semaphore
	members  map[string]*tenantPool
	backoffs map[string]backoff
	ends     chan end
	pools    sync.WaitGroup
}

// tenantPool is the pool of a tenant that is served.
type tenantPool struct {
	generation string
	stop       context.CancelCauseFunc
}

// backoff records a tenant that could not be served: the reason, and how many polls it is still skipped.
type backoff struct {
	generation string
	why        error
	skip       int
}

// end reports how a pool ended.
type end struct {
	tenant string
	served bool // the pool had registered
	err    error
}

// NewTenantPools returns a TenantPools. Its tenants share the slots, unless only one tenant is named.
func NewTenantPools(c TenantPoolsConfig, d Deps) *TenantPools {
	if c.PollInterval <= 0 {
		c.PollInterval = DefaultTenantPoll
		if len(c.Tenants) == 1 {
			// a poll could only find that the tenant is gone, which its pool notices itself
			c.PollInterval = retryRefusedEvery
		}
	}
	f := &TenantPools{
		config: c, deps: d, members: map[string]*tenantPool{}, backoffs: map[string]backoff{},
		ends: make(chan end),
	}
	if c.Slots <= 0 {
		f.config.Slots = DefaultSlots
	}
	if len(c.Tenants) != 1 {
		f.budget = slots.NewSemaphore(f.config.Slots)
	}
	f.config.Limits = newLimits(f.config.Config, d)
	return f
}

// Budget returns the slots that the pools share, or nil if only one tenant is named.
func (f *TenantPools) Budget() *slots.Semaphore { return f.budget }

// Limits returns the handler limits, which all pools share.
func (f *TenantPools) Limits() *slots.Limits { return f.config.Limits }

// Run serves the tenants until ctx ends; then each pool drains. If a tenant cannot be served, Run logs the error,
// retries it later and serves the others. Run fails if a named tenant does not exist at the start, or if none of the
// named tenants can be served.
func (f *TenantPools) Run(ctx context.Context) error {
	notified := make(chan struct{}, 1)
	listening, hangUp := context.WithCancel(ctx)
	var listener sync.WaitGroup
	listener.Go(func() {
		err := f.deps.DB.ListenTenants(listening, func() {
			select {
			case notified <- struct{}{}:
			default:
			}
		})
		if err != nil {
			f.deps.Log.Warn("no notifications of new tenants: they are found by polling only", zap.Error(err))
		}
	})
	err := f.loop(ctx, notified)
	hangUp()
	listener.Wait()
	return errors.Join(err, f.awaitPools(ctx))
}

func (f *TenantPools) loop(ctx context.Context, notified <-chan struct{}) error {
	if err := f.first(ctx); err != nil || ctx.Err() != nil {
		return err
	}
	tick := time.NewTicker(f.config.PollInterval)
	defer tick.Stop()
	for {
		if err := f.fatalError(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case e := <-f.ends:
			f.poolStopped(ctx, e)
			continue
		case <-notified:
			f.resetBackoff() // the reason for a refusal may be gone
		case <-tick.C:
		}
		if err := f.poll(ctx); err != nil && ctx.Err() == nil {
			f.deps.Log.Warn("failed to look up tenants, retrying", zap.Error(err))
		}
	}
}

// first polls the list of tenants for the first time. It fails if a named tenant does not exist.
func (f *TenantPools) first(ctx context.Context) error {
	there, err := f.deps.DB.Tenants(ctx)
	if ctx.Err() != nil {
		return nil //nolint:nilerr // stopped before it started, which is no error
	}
	if err != nil {
		return err
	}
	for _, name := range f.config.Tenants {
		if name != db.DefaultTenant && !slices.ContainsFunc(there, func(t db.Tenant) bool { return t.Name == name }) {
			// SchemaStatus returns the most precise error.
			if _, err := f.deps.DB.SchemaStatus(db.WithTenant(ctx, name)); err != nil {
				return err
			}
		}
	}
	f.apply(ctx, there)
	return nil
}

func (f *TenantPools) poll(ctx context.Context) error {
	there, err := f.deps.DB.Tenants(ctx)
	if err != nil {
		return err
	}
	f.apply(ctx, there)
	return nil
}

// apply stops the pools of tenants that are gone or were created again, and starts pools for new tenants.
func (f *TenantPools) apply(ctx context.Context, there []db.Tenant) {
	incarnations := map[string]string{}
	for _, t := range there {
		incarnations[t.Name] = t.Generation
	}
	for name, m := range f.members {
		if now, ok := incarnations[name]; (!ok || now != m.generation) && name != db.DefaultTenant {
			m.stop(&db.TenantNotFoundError{Tenant: name, Reason: "dropped while it was served"})
		}
	}
	for _, name := range f.wanted(there) {
		r, refused := f.backoffs[name]
		switch {
		case f.members[name] != nil:
		case refused && r.generation == incarnations[name] && r.skip > 0:
			r.skip--
			f.backoffs[name] = r
		default:
			f.startPool(ctx, name, incarnations[name])
		}
	}
}

// wanted returns the tenants to serve. A named tenant that does not exist is refused by its pool.
func (f *TenantPools) wanted(there []db.Tenant) []string {
	if len(f.config.Tenants) > 0 {
		return f.config.Tenants
	}
	var names []string
	for _, t := range there {
		if !t.Unmigrated {
			names = append(names, t.Name)
		}
	}
	return names
}

func (f *TenantPools) startPool(ctx context.Context, name, incarnation string) {
	ctx, stop := context.WithCancelCause(db.WithTenant(ctx, name))
	f.members[name] = &tenantPool{incarnation, stop}
	f.pools.Go(func() {
		served, err := f.serve(ctx, name)
		if f.config.OnPoolStop != nil {
			f.config.OnPoolStop(name)
		}
		stop(nil)
		f.ends <- end{name, served, err}
	})
}

// serve runs a tenant's pool until it ends. served reports whether the pool had registered.
func (f *TenantPools) serve(ctx context.Context, name string) (served bool, err error) {
	if f.config.BeforePoolStart != nil {
		if err := f.config.BeforePoolStart(ctx); err != nil {
			if ctx.Err() != nil {
				return false, context.Cause(ctx)
			}
			return false, err
		}
	}
	c, d := f.config.Config, f.deps
	c.Budget, d.Log = f.budget, d.Log.With(zap.String("tenant", name))
	if f.config.ObserverOf != nil {
		c.Observer = f.config.ObserverOf(name)
	}
	pool := New(c, d)
	if f.config.OnPoolStart != nil {
		f.config.OnPoolStart(name, pool)
	}
	err = pool.Run(ctx)
	return pool.workerID() != "", err
}
