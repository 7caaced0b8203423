package db

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Tenant describes an existing tenant.
type Tenant struct {
	Name string
	// Generation differs between a tenant and a later one of the same name that was created after a drop.
	Generation string
	// Unmigrated says that the tenant has no table of executions, because it has not been migrated yet. It is always
	// false on SQLite.
	Unmigrated bool
}

// Tenants lists the existing tenants: those whose schema or file belongs to this program. The default tenant comes
// first, unless its schema or file does not exist yet.
func (d *DB) Tenants(ctx context.Context) ([]Tenant, error) {
	found, err := d.backend.tenants(ctx)
	if err != nil {
		return nil, d.wrap(fmt.Errorf("list tenants: %w", err))
	}
	names := slices.SortedFunc(maps.Keys(found), func(a, b string) int {
		switch {
		case a == b:
			return 0
		case a == DefaultTenant:
			return -1
		case b == DefaultTenant:
			return 1
		}
		return strings.Compare(a, b)
	})
	list := make([]Tenant, 0, len(names))
	for _, name := range names {
		if CheckTenantName(name) == nil { // other names cannot be used, so they belong to no tenant
			list = append(list, found[name])
		}
	}
	return list, nil
}

// Identity returns a text that distinguishes the context's tenant from those of all databases that one machine may
// use. It can be used in a file name. It does not depend on the URL. A copy of the database has another identity.
func (d *DB) Identity(ctx context.Context) (string, error) {
	if err := CheckTenantName(TenantOf(ctx)); err != nil {
		return "", err
	}
	id, err := d.backend.identity(ctx, TenantOf(ctx))
	if err != nil {
		return "", d.wrap(fmt.Errorf("identify tenant %q: %w", TenantOf(ctx), err))
	}
	return id, nil
}

// TenantSize returns the size of the context's tenant in bytes: its tables and indexes, or its file and the files
// beside it.
func (d *DB) TenantSize(ctx context.Context) (int64, error) {
	if err := CheckTenantName(TenantOf(ctx)); err != nil {
		return 0, err
	}
	n, err := d.backend.size(ctx, TenantOf(ctx))
	if err != nil {
		return 0, d.wrap(fmt.Errorf("size of tenant %q: %w", TenantOf(ctx), err))
	}
	return n, nil
}

// ListenTenants calls heard whenever another process may have created or dropped a tenant, until ctx ends. SQLite has
// no such notification, so callers must also poll Tenants.
func (d *DB) ListenTenants(ctx context.Context, handle func()) error {
	return d.backend.listen(ctx, allTenants, d.instance, func(topic) { handle() })
}

// allTenants is a name that no tenant can have. Processes notify each other of new and dropped tenants under it.
const allTenants = ""

const topicTenants = "tenants"

// DropTenant removes the context's tenant with everything in it. It calls allow in the same transaction, while nobody
// else can write the tenant; an error of allow stops the drop. allow may be nil, and is not called for a tenant
// without tables. The default tenant cannot be dropped. DropTenant may be repeated after an interruption. Handles of
// other processes on the tenant fail afterwards.
func (d *DB) DropTenant(ctx context.Context, allow func(Tx) error) (err error) {
	name := TenantOf(ctx)
	if err := CheckTenantName(name); err != nil {
		return err
	}
	if name == DefaultTenant {
		return fmt.Errorf("%w: the default tenant can't be dropped", ErrTenantName)
	}
	release, err := d.backend.lockDDL(ctx, name)
	if err != nil {
		return d.wrap(fmt.Errorf("drop tenant %q: %w", name, err))
	}
	defer func() { err = errors.Join(err, release()) }()
	err = d.dropOpen(ctx, name, allow)
	if missing := errors.Is(err, ErrTenantNotFound); err != nil && !missing {
		return err
	}
	if forgetting := d.CloseTenant(ctx); forgetting != nil {
		return forgetting
	}
	removed, removing := d.backend.deleteTenant(ctx, name, err == nil)
	if removing != nil {
		return d.wrap(fmt.Errorf("drop tenant %q: %w", name, removing))
	}
	if removed {
		return nil // this includes what an earlier drop left
	}
	return err
}

// dropOpen makes the tenant unusable for everybody, in one transaction.
func (d *DB) dropOpen(ctx context.Context, name string, allow func(Tx) error) error {
	if err := d.closeStale(ctx); err != nil {
		return err
	}
	status, err := d.SchemaStatus(ctx)
	if err != nil {
		return err
	}
	return d.Transaction(ctx, func(tx Tx) error {
		on := tx.gorm.Statement.ConnPool
		if err := d.backend.lockExclusive(ctx, on, name); err != nil {
			return err
		}
		if allow != nil && status.Current > 0 {
			if err := allow(tx); err != nil {
				return err
			}
		}
		if err := d.backend.markDropped(ctx, on, name); err != nil {
			return err
		}
		return d.backend.notify(ctx, on, allTenants, payload(d.instance, []topic{topicTenants}))
	})
}

// closeStale closes handles that lead to an earlier tenant of the same name.
func (d *DB) closeStale(ctx context.Context) error {
	name := TenantOf(ctx)
	d.mu.Lock()
	t, ok := d.tenants[name]
	d.mu.Unlock()
	if !ok || !d.backend.isStale(name, t.handles) {
		return nil
	}
	return d.CloseTenant(ctx)
}
