package workers

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/sluiceworks/sluice/platform/db"
)

// TenantPoolsConfig says which tenants a process works for, and how.
type TenantPoolsConfig struct {
	Config                                    // of each tenant's pool; the Slots are shared by all of them
	Tenants      []string                     // empty: all that are there, as they come and go
	PollInterval time.Duration                // between two looks at which tenants there are; 0: DefaultTenantPoll
	Observer     func(tenant string) Observer // of a tenant's pool; nil: nobody
	// Prepare is called before a tenant's pool begins, with the tenant in the context. Its error keeps the pool from
	// beginning.
	BeforePoolStart func(ctx context.Context) error
	// Began and Ended tell of a tenant's pool.
	OnPoolStart func(tenant string, p *Pool)
	OnPoolStop  func(tenant string)
}

// DefaultTenantPoll is how often a process looks which tenants there are. On PostgreSQL it is told of them besides.
const DefaultTenantPoll = 2 * time.Second

// retryRefusedEvery is DefaultTenantPoll for a process of one tenant.
const retryRefusedEvery = 30 * time.Second

// maxRefusals is how many looks a tenant that could not be served is left alone.
const maxRefusals = 5

// TenantPools works for several tenants with a pool each. Make it with NewTenantPools, and run it once.
type TenantPools struct {
	config  TenantPoolsConfig
	deps    Deps
	budget  *FairSemaphore
	members map[string]*tenantPool
	refused map[string]refusal
	ends    chan end
	pools   sync.WaitGroup
}

// tenantPool is a tenant that is served.
type tenantPool struct {
	generation string
	stop       context.CancelCauseFunc
}

// refusal is a tenant that could not be served: why, and for how many looks it is left alone.
type refusal struct {
	generation string
	why        error
	count      int
}

// end is how a pool ended.
type end struct {
	tenant string
	served bool // the tenant was served meanwhile
	err    error
}

// NewTenantPools makes a fleet. Its tenants share the slots, unless there can be but one.
func NewTenantPools(c TenantPoolsConfig, d Deps) *TenantPools {
	if c.PollInterval <= 0 {
		c.PollInterval = DefaultTenantPoll
		if len(c.Tenants) == 1 {
			// all that it can learn is that its one tenant is gone, and its pool notices that too
			c.PollInterval = retryRefusedEvery
		}
	}
	f := &TenantPools{config: c, deps: d, members: map[string]*tenantPool{}, refused: map[string]refusal{}, ends: make(chan end)}
	if c.Slots <= 0 {
		f.config.Slots = DefaultSlots
	}
	if len(c.Tenants) != 1 {
		f.budget = NewFairSemaphore(f.config.Slots)
	}
	f.config.Limits = NewHandlerLimits(d.Handlers, c.HandlerLimits, f.config.Slots)
	f.config.Limits.warn(d.Log)
	return f
}

// Budget is what the pools share; nil if there can be but one.
func (f *TenantPools) Budget() *FairSemaphore { return f.budget }

// Limits are those of the process.
func (f *TenantPools) Limits() *HandlerLimits { return f.config.Limits }

// Run works for the tenants until ctx ends; then each pool drains. A tenant that can't be served is told of in the log
// and tried again, and the others are served. Run ends by itself when tenants were named and none of them can be
// served; the error is the first one's reason.
func (f *TenantPools) Run(ctx context.Context) error {
	told := make(chan struct{}, 1)
	listening, hangUp := context.WithCancel(ctx)
	var listener sync.WaitGroup
	listener.Go(func() {
		err := f.deps.DB.ListenTenants(listening, func() {
			select {
			case told <- struct{}{}:
			default:
			}
		})
		if err != nil {
			f.deps.Log.Warn("not listening for new tenants: they are noticed by looking alone", zap.Error(err))
		}
	})
	err := f.loop(ctx, told)
	hangUp()
	listener.Wait()
	return errors.Join(err, f.awaitPools(ctx))
}

func (f *TenantPools) loop(ctx context.Context, told <-chan struct{}) error {
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
		case <-told:
			f.resetBackoff() // what was refused may have been put right
		case <-tick.C:
		}
		if err := f.poll(ctx); err != nil && ctx.Err() == nil {
			f.deps.Log.Warn("looking for tenants failed, trying again", zap.Error(err))
		}
	}
}

// first is the first look: named tenants must all be there.
func (f *TenantPools) first(ctx context.Context) error {
	there, err := f.deps.DB.Tenants(ctx)
	if ctx.Err() != nil {
		return nil //nolint:nilerr // stopped before it began: an end in order
	}
	if err != nil {
		return err
	}
	for _, name := range f.config.Tenants {
		if name != db.DefaultTenant && !slices.ContainsFunc(there, func(t db.Tenant) bool { return t.Name == name }) {
			// Opening it says best why not.
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

// apply ends the pools of tenants that are gone and begins those of tenants that have come.
func (f *TenantPools) apply(ctx context.Context, there []db.Tenant) {
	incarnations := map[string]string{}
	for _, t := range there {
		incarnations[t.Name] = t.Generation
	}
	for name, m := range f.members {
		if now, ok := incarnations[name]; (!ok || now != m.generation) && name != db.DefaultTenant {
			m.stop(&db.TenantNotFoundError{Tenant: name, Reason: "it was dropped while it was served"})
		}
	}
	for _, name := range f.wanted(there) {
		r, refused := f.refused[name]
		switch {
		case f.members[name] != nil:
		case refused && r.generation == incarnations[name] && r.count > 0:
			r.count--
			f.refused[name] = r
		default:
			f.startPool(ctx, name, incarnations[name])
		}
	}
}

// wanted is which tenants are to be served. One that was named and is not there is refused by its pool.
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

// serve is the life of a tenant's pool.
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
	if f.config.Observer != nil {
		c.Observer = f.config.Observer(name)
	}
	pool := New(c, d)
	if f.config.OnPoolStart != nil {
		f.config.OnPoolStart(name, pool)
	}
	err = pool.Run(ctx)
	return pool.workerID() != "", err
}
