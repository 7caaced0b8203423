package db

import (
	"context"
	"errors"
	"fmt"
)

// TenantNotFoundError says which tenant does not exist, and why it was not found. It matches ErrTenantNotFound.
type TenantNotFoundError struct {
	Tenant string
	Reason string
}

func (e *TenantNotFoundError) Error() string {
	return fmt.Sprintf("%s %q: %s", ErrTenantNotFound, e.Tenant, e.Reason)
}

// Is reports whether target is ErrTenantNotFound.
func (e *TenantNotFoundError) Is(target error) bool { return target == ErrTenantNotFound }

// tenant holds the open handles of one tenant.
type tenant struct {
	name string
	handles
	open localTransactions
}

// tenant returns the context's tenant, which it opens on first use. Callers that need a tenant that is being opened
// wait for it, and others do not.
func (d *DB) tenant(ctx context.Context) (*tenant, error) {
	name := TenantOf(ctx)
	if err := CheckTenantName(name); err != nil {
		return nil, err
	}
	for {
		if t, ok := d.opened(name); ok {
			return t, nil
		}
		mine := false
		result := d.openings.DoChan(name, func() (any, error) {
			mine = true
			return d.openTenant(ctx, name)
		})
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case r := <-result:
			// If the opening caller's context ended, that is no result for the others, so they try again.
			if !mine && (errors.Is(r.Err, context.Canceled) || errors.Is(r.Err, context.DeadlineExceeded)) {
				continue
			}
			t, _ := r.Val.(*tenant)
			return t, r.Err
		}
	}
}

func (d *DB) opened(name string) (*tenant, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	t, ok := d.tenants[name]
	return t, ok
}

func (d *DB) openTenant(ctx context.Context, name string) (*tenant, error) {
	if t, ok := d.opened(name); ok { // since the caller looked
		return t, nil
	}
	h, err := d.backend.open(ctx, name, d.creates)
	d.mu.Lock()
	defer d.mu.Unlock()
	if err == nil && d.closed {
		err = errors.Join(errClosed, d.backend.closeHandles(h))
	}
	if err != nil {
		return nil, d.wrap(err)
	}
	t := &tenant{name: name, handles: h}
	d.tenants[name] = t
	return t, nil
}

var errClosed = errors.New("the database has been closed")

// CloseTenant closes this process's handles on the context's tenant, which another process has dropped or created
// again. The next use opens it again.
func (d *DB) CloseTenant(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	t, ok := d.tenants[TenantOf(ctx)]
	if !ok {
		return nil
	}
	delete(d.tenants, t.name)
	return d.backend.closeHandles(t.handles)
}
