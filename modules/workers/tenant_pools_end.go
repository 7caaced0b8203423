package workers

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"go.uber.org/zap"

	"github.com/sluiceworks/sluice/platform/db"
)

// poolStopped handles the end of a pool. Unless the process stops, the tenant is refused for maxRefusals polls.
func (f *TenantPools) poolStopped(ctx context.Context, e end) {
	m := f.members[e.tenant]
	delete(f.members, e.tenant)
	if ctx.Err() != nil {
		return // the process stops: awaitPools reports the error
	}
	log := f.deps.Log.With(zap.String("tenant", e.tenant))
	before, again := f.backoffs[e.tenant]
	f.backoffs[e.tenant] = backoff{m.generation, e.err, maxRefusals}
	if errors.Is(e.err, db.ErrTenantNotFound) {
		if err := f.deps.DB.CloseTenant(db.WithTenant(ctx, e.tenant)); err != nil {
			log.Warn("failed to close a dropped tenant", zap.Error(err))
		}
	}
	if !e.served && again && before.why != nil && e.err != nil && before.why.Error() == e.err.Error() {
		return // already logged
	}
	if errors.Is(e.err, db.ErrTenantNotFound) {
		log.Warn("tenant no longer exists: it is no longer served", zap.Error(e.err))
		return
	}
	log.Error("the tenant is not served", zap.Error(e.err))
}

// resetBackoff makes the next poll retry all refused tenants.
func (f *TenantPools) resetBackoff() {
	for name, r := range f.backoffs {
		r.skip = 0
		f.backoffs[name] = r
	}
}

// fatalError returns an error if no named tenant is served any more: the reason of the first tenant.
func (f *TenantPools) fatalError() error {
	if len(f.config.Tenants) == 0 || len(f.members) > 0 {
		return nil
	}
	r := f.backoffs[f.config.Tenants[0]]
	if len(f.config.Tenants) == 1 || r.why == nil {
		return r.why // nil if the pools ended because the process stops
	}
	return fmt.Errorf("none of the tenants %s can be served: %w", strings.Join(f.config.Tenants, ", "), r.why)
}

// awaitPools waits for the remaining pools. It returns the errors of those that did not stop in order.
func (f *TenantPools) awaitPools(ctx context.Context) error {
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
