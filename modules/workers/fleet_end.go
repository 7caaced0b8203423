package workers

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"go.uber.org/zap"

	"github.com/sluiceworks/sluice/platform/db"
)

// ended notes the end of a pool that was not asked to stop.
func (f *Fleet) ended(ctx context.Context, e end) {
	m := f.members[e.tenant]
	delete(f.members, e.tenant)
	if ctx.Err() != nil {
		return // the process stops: rest reports
	}
	log := f.deps.Log.With(zap.String("tenant", e.tenant))
	before, again := f.refused[e.tenant]
	f.refused[e.tenant] = refusal{m.incarnation, e.err, refusedLooks}
	if errors.Is(e.err, db.ErrNoTenant) {
		if err := f.deps.DB.Forget(db.WithTenant(ctx, e.tenant)); err != nil {
			log.Warn("closing a tenant that is gone failed", zap.Error(err))
		}
	}
	if !e.served && again && before.why != nil && e.err != nil && before.why.Error() == e.err.Error() {
		return // it has been said
	}
	if errors.Is(e.err, db.ErrNoTenant) {
		log.Warn("the tenant is gone: it is not served any more", zap.Error(e.err))
		return
	}
	log.Error("the tenant is not served", zap.Error(e.err))
}

// patch has refused tenants tried again at the next look.
func (f *Fleet) patch() {
	for name, r := range f.refused {
		r.looks = 0
		f.refused[name] = r
	}
}

// hopeless gives the reason for which none of the named tenants can be served. A database that is away is no reason once there was
// one.
func (f *Fleet) hopeless() error {
	if len(f.config.Tenants) == 0 || len(f.members) > 0 {
		return nil
	}
	r := f.refused[f.config.Tenants[0]]
	if len(f.config.Tenants) == 1 {
		return r.why
	}
	return fmt.Errorf("none of the tenants %s can be served: %w", strings.Join(f.config.Tenants, ", "), r.why)
}

// rest waits for the pools that are left and gives what kept them from ending in order.
func (f *Fleet) rest(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		f.pools.Wait()
		close(done)
	}()
	var errs []error
	for {
		select {
		case e := <-f.ends:
			if e.err != nil && !errors.Is(e.err, context.Cause(ctx)) {
				errs = append(errs, e.err)
			}
		case <-done:
			return errors.Join(errs...)
		}
	}
}
