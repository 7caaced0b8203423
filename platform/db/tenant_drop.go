package db

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Tenant is a tenant that is there.
type Tenant struct {
	Name string
	// Incarnation differs between a tenant and one that was made under its name after it had been dropped.
	Incarnation string
	// Unused: it holds no executions' table, for nobody has migrated it yet.
	Unused bool
}

// Tenants lists the tenants that are there: those whose schema, or file, holds this program's tables, and no others. The default
// one comes first; it is left out if it has no place to be in yet.
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
		if CheckTenantName(name) == nil { // others can't be named, so they are nobody's
			list = append(list, found[name])
		}
	}
	return list, nil
}

// Identity names the context's tenant among those of all databases that one machine may use. It can stand in a file's name. It does not
// depend on the URL. A copy of the database has another.
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

// TenantSize is how many bytes the context's tenant takes up: its tables and indexes, or its file with what lies beside it.
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

// ListenTenants calls heard whenever a tenant may have been made or dropped by another process, until ctx ends. On SQLite nobody
// tells: look at Tenants now and then.
func (d *DB) ListenTenants(ctx context.Context, heard func()) error {
	return d.backend.listen(ctx, allTenants, d.instance, func(topic) { heard() })
}

// allTenants is the name, which no tenant can have, under which processes tell each other of tenants.
const allTenants = ""

const topicTenants = "tenants"

// DropTenant removes the context's tenant with all that it holds. allow may refuse within the same transaction, while nobody else
// can write the tenant; it is not asked about a tenant without tables, and nil allows all. The default tenant can't be dropped.
// Dropping may be repeated after it was interrupted. Handles of other processes on the tenant fail from then on.
func (d *DB) DropTenant(ctx context.Context, allow func(Tx) error) (err error) {
	name := TenantOf(ctx)
	if err := CheckTenantName(name); err != nil {
		return err
	}
	if name == DefaultTenant {
		return fmt.Errorf("%w: the default tenant can't be dropped", ErrTenantName)
	}
	release, err := d.backend.guard(ctx, name)
	if err != nil {
		return d.wrap(fmt.Errorf("drop tenant %q: %w", name, err))
	}
	defer func() { err = errors.Join(err, release()) }()
	err = d.dropOpen(ctx, name, allow)
	if missing := errors.Is(err, ErrNoTenant); err != nil && !missing {
		return err
	}
	if forgetting := d.Forget(ctx); forgetting != nil {
		return forgetting
	}
	removed, removing := d.backend.remove(ctx, name, err == nil)
	if removing != nil {
		return d.wrap(fmt.Errorf("drop tenant %q: %w", name, removing))
	}
	if removed {
		return nil // what an earlier drop left counts too
	}
	return err
}

// dropOpen makes the tenant useless to everybody, in one transaction.
func (d *DB) dropOpen(ctx context.Context, name string, allow func(Tx) error) error {
	if err := d.forgetFormer(ctx); err != nil {
		return err
	}
	status, err := d.SchemaStatus(ctx)
	if err != nil {
		return err
	}
	return d.Transaction(ctx, func(tx Tx) error {
		on := tx.gorm.Statement.ConnPool
		if err := d.backend.seize(ctx, on, name); err != nil {
			return err
		}
		if allow != nil && status.Current > 0 {
			if err := allow(tx); err != nil {
				return err
			}
		}
		if err := d.backend.erase(ctx, on, name); err != nil {
			return err
		}
		return d.backend.notify(ctx, on, allTenants, payload(d.instance, []topic{topicTenants}))
	})
}

// forgetFormer drops handles that lead to a tenant of the same name that is not there any more.
func (d *DB) forgetFormer(ctx context.Context) error {
	name := TenantOf(ctx)
	d.mu.Lock()
	t, ok := d.tenants[name]
	d.mu.Unlock()
	if !ok || !d.backend.former(name, t.handles) {
		return nil
	}
	return d.Forget(ctx)
}
