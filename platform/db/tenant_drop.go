package db

import (
	"context"
	"errors"
	"fmt"
)

// DropTenant removes the context's tenant with all that it holds; one that is not there is left alone. It waits for transactions
// that are under way in the tenant. The default tenant is refused with ErrTenantName.
func (d *DB) DropTenant(ctx context.Context) error {
	name := TenantOf(ctx)
	if err := checkTenantName(name); err != nil {
		return err
	}
	if name == DefaultTenant {
		return fmt.Errorf("%w: %q can't be dropped", ErrTenantName, name)
	}
	d.mu.Lock()
	t := d.tenants[name]
	delete(d.tenants, name)
	d.mu.Unlock()
	var closed error
	if t != nil && d.backend.name() == sqliteName {
		closed = errors.Join(closeGorm(t.write), closeGorm(t.read))
	}
	if err := errors.Join(closed, d.backend.drop(ctx, name)); err != nil {
		return d.wrap(fmt.Errorf("drop tenant %q: %w", name, err))
	}
	return nil
}
