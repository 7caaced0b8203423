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

// FleetConfig says which tenants a process works for, and how.
type FleetConfig struct {
	Config                                // of each tenant's pool; the Slots are shared by all of them
	Tenants  []string                     // empty: all that are there, as they come and go
	Look     time.Duration                // between two looks at which tenants there are; 0: DefaultLook
	Observer func(tenant string) Observer // of a tenant's pool; nil: nobody
	// Prepare is called before a tenant's pool begins, with the tenant in the context. Its error keeps the pool from beginning.
	Prepare func(ctx context.Context) error
	// Began and Ended tell of a tenant's pool.
	Began func(tenant string, p *Pool)
	Ended func(tenant string)
}

// DefaultLook is how often a process looks which tenants there are. On PostgreSQL it is told of them besides.
const DefaultLook = 2 * time.Second

// seldom is DefaultLook for a process of one tenant.
const seldom = 30 * time.Second

// refusedLooks is how many looks a tenant that could not be served is left alone.
const refusedLooks = 5

// Fleet works for several tenants with a pool each. Make it with NewFleet, and run it once.
type Fleet struct {
	config  FleetConfig
	deps    Deps
	budget  *Budget
	members map[string]*member
	refused map[string]refusal
	ends    chan end
	pools   sync.WaitGroup
}

// member is a tenant that is served.
type member struct {
	incarnation string
	stop        context.CancelCauseFunc
}

// refusal is a tenant that could not be served: why, and for how many looks it is left alone.
type refusal struct {
	incarnation string
	why         error
	looks       int
}

// end is how a pool ended.
type end struct {
	tenant string
	served bool // the tenant was served meanwhile
	err    error
}

// NewFleet makes a fleet. Its tenants share the slots, unless there can be but one.
func NewFleet(c FleetConfig, d Deps) *Fleet {
	if c.Look <= 0 {
		c.Look = DefaultLook
		if len(c.Tenants) == 1 {
			c.Look = seldom // all that it can learn is that its one tenant is gone, and its pool notices that too
		}
	}
	f := &Fleet{config: c, deps: d, members: map[string]*member{}, refused: map[string]refusal{}, ends: make(chan end)}
	if c.Slots <= 0 {
		f.config.Slots = DefaultSlots
	}
	if len(c.Tenants) != 1 {
		f.budget = NewBudget(f.config.Slots)
	}
	f.config.Limits = NewLimits(d.Handlers, c.HandlerLimits, f.config.Slots)
	f.config.Limits.warn(d.Log)
	return f
}

// Budget is what the pools share; nil if there can be but one.
func (f *Fleet) Budget() *Budget { return f.budget }

// Limits are those of the process.
func (f *Fleet) Limits() *Limits { return f.config.Limits }

// Run works for the tenants until ctx ends; then each pool drains. A tenant that can't be served is told of in the log and tried
// again, and the others are served. Run ends by itself when tenants were named and none of them can be served; the error is the
// first one's reason.
func (f *Fleet) Run(ctx context.Context) error {
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
	return errors.Join(err, f.rest(ctx))
}

func (f *Fleet) loop(ctx context.Context, told <-chan struct{}) error {
	if err := f.first(ctx); err != nil || ctx.Err() != nil {
		return err
	}
	tick := time.NewTicker(f.config.Look)
	defer tick.Stop()
	for {
		if err := f.hopeless(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case e := <-f.ends:
			f.ended(ctx, e)
			continue
		case <-told:
			f.patch() // what was refused may have been put right
		case <-tick.C:
		}
		if err := f.look(ctx); err != nil && ctx.Err() == nil {
			f.deps.Log.Warn("looking for tenants failed, trying again", zap.Error(err))
		}
	}
}

// first is the first look: named tenants must all be there.
func (f *Fleet) first(ctx context.Context) error {
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

func (f *Fleet) look(ctx context.Context) error {
	there, err := f.deps.DB.Tenants(ctx)
	if err != nil {
		return err
	}
	f.apply(ctx, there)
	return nil
}

// apply ends the pools of tenants that are gone and begins those of tenants that have come.
func (f *Fleet) apply(ctx context.Context, there []db.Tenant) {
	incarnations := map[string]string{}
	for _, t := range there {
		incarnations[t.Name] = t.Incarnation
	}
	for name, m := range f.members {
		if now, ok := incarnations[name]; (!ok || now != m.incarnation) && name != db.DefaultTenant {
			m.stop(&db.NoTenantError{Tenant: name, Reason: "it was dropped while it was served"})
		}
	}
	for _, name := range f.wanted(there) {
		r, refused := f.refused[name]
		switch {
		case f.members[name] != nil:
		case refused && r.incarnation == incarnations[name] && r.looks > 0:
			r.looks--
			f.refused[name] = r
		default:
			f.begin(ctx, name, incarnations[name])
		}
	}
}

// wanted is which tenants are to be served. One that was named and is not there is refused by its pool.
func (f *Fleet) wanted(there []db.Tenant) []string {
	if len(f.config.Tenants) > 0 {
		return f.config.Tenants
	}
	var names []string
	for _, t := range there {
		if !t.Unused {
			names = append(names, t.Name)
		}
	}
	return names
}

func (f *Fleet) begin(ctx context.Context, name, incarnation string) {
	ctx, stop := context.WithCancelCause(db.WithTenant(ctx, name))
	f.members[name] = &member{incarnation, stop}
	f.pools.Go(func() {
		served, err := f.serve(ctx, name)
		if f.config.Ended != nil {
			f.config.Ended(name)
		}
		stop(nil)
		f.ends <- end{name, served, err}
	})
}

// serve is the life of a tenant's pool.
func (f *Fleet) serve(ctx context.Context, name string) (served bool, err error) {
	if f.config.Prepare != nil {
		if err := f.config.Prepare(ctx); err != nil {
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
	if f.config.Began != nil {
		f.config.Began(name, pool)
	}
	err = pool.Run(ctx)
	return pool.workerID() != "", err
}
