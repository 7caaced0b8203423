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

// opening is a tenant that is being opened. Callers that need the same tenant wait for it, and others do not.
type opening struct {
	done   chan struct{}
	tenant *tenant
	err    error
}

// tenant returns the context's tenant, which it opens on first use.
func (d *DB) tenant(ctx context.Context) (*tenant, error) {
	name := TenantOf(ctx)
	if err := CheckTenantName(name); err != nil {
		return nil, err
	}
	for {
		d.mu.Lock()
		if t, ok := d.tenants[name]; ok {
			d.mu.Unlock()
			return t, nil
		}
		o, underWay := d.openings[name]
		if !underWay {
			o = &opening{done: make(chan struct{})}
			d.openings[name] = o
		}
		d.mu.Unlock()
		if !underWay {
			d.openTenant(ctx, name, o)
			return o.tenant, o.err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-o.done:
		}
		// If the opening caller's context ended, that is no result for the others, so they try again.
		if o.err == nil || !errors.Is(o.err, context.Canceled) && !errors.Is(o.err, context.DeadlineExceeded) {
			return o.tenant, o.err
		}
	}
}

func (d *DB) openTenant(ctx context.Context, name string, o *opening) {
	h, err := d.backend.open(ctx, name, d.creates)
	d.mu.Lock()
	defer d.mu.Unlock()
	if err == nil && d.closed {
		err = errors.Join(errClosed, d.backend.closeHandles(h))
	}
	if err != nil {
		o.err = d.wrap(err)
	} else {
		o.tenant = &tenant{name: name, handles: h}
		d.tenants[name] = o.tenant
	}
	delete(d.openings, name)
	close(o.done)
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
