package db

import (
	"context"
	"fmt"
	"regexp"
)

var tenantName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,39}$`)

// CheckTenantName returns ErrTenantName unless the name is plain: it becomes the name of a schema or part of a file
// name.
func CheckTenantName(name string) error {
	switch {
	case !tenantName.MatchString(name):
		return fmt.Errorf("%w: %.60q: use a small letter, then up to 39 small letters, digits and _",
			ErrTenantName, name)
	case name == "public", name == "information_schema", name == "all", len(name) > 2 && name[:3] == "pg_":
		return fmt.Errorf("%w: %q is reserved", ErrTenantName, name)
	}
	return nil
}

// CreateTenant creates the context's tenant if it does not exist, and brings its schema up to date. It may be
// repeated after an interruption, and completes an interrupted drop. If the schema or the file holds another
// program's tables, it returns ErrForeignSchema.
func (d *DB) CreateTenant(ctx context.Context) error {
	name := TenantOf(ctx)
	if err := CheckTenantName(name); err != nil {
		return err
	}
	if err := d.closeStale(ctx); err != nil {
		return err
	}
	if err := d.backend.create(ctx, name); err != nil {
		return d.wrap(fmt.Errorf("create tenant %q: %w", name, err))
	}
	return d.Migrate(ctx)
}

// Migrate brings the schema of the context's tenant up to this binary's version. Any number of processes may call it
// at the same time.
func (d *DB) Migrate(ctx context.Context) error {
	status, err := d.SchemaStatus(ctx)
	if err != nil {
		return err
	}
	if status.Current > status.Newest {
		return status.Err()
	}
	if status.Current == status.Newest {
		return nil
	}
	t, err := d.tenant(ctx)
	if err != nil {
		return err
	}
	if t.readOnly != nil {
		return fmt.Errorf("%w, and %w", status.Err(), t.readOnly)
	}
	if err := d.backend.migrate(ctx, TenantOf(ctx)); err != nil {
		return d.wrap(fmt.Errorf("migrate tenant %q: %w", TenantOf(ctx), err))
	}
	return d.wrap(d.backend.notify(ctx, t.write.Statement.ConnPool, allTenants,
		payload(d.instance, []topic{topicTenants})))
}

// SchemaStatus compares a schema's version with this binary's.
type SchemaStatus struct {
	Tenant  string `json:"tenant"`
	Current int64  `json:"current"` // 0 if the schema is empty
	Newest  int64  `json:"newest"`  // the version that this binary knows
}

// Err returns nil if the versions agree, or else ErrSchemaOutdated or ErrSchemaTooNew with what to do.
func (s SchemaStatus) Err() error {
	switch {
	case s.Current < s.Newest:
		return fmt.Errorf("%w (version %d, needed %d): run `sluice migrate`", ErrSchemaOutdated, s.Current, s.Newest)
	case s.Current > s.Newest:
		return fmt.Errorf("%w (version %d, known %d): install a sluice with schema version %d or newer; `sluice "+
			"migrate status` shows both",
			ErrSchemaTooNew, s.Current, s.Newest, s.Current)
	}
	return nil
}

// SchemaStatus reads the version of the schema of the context's tenant.
func (d *DB) SchemaStatus(ctx context.Context) (SchemaStatus, error) {
	t, err := d.tenant(ctx)
	if err != nil {
		return SchemaStatus{}, err
	}
	v, err := d.backend.schemaVersion(ctx, t.read.WithContext(ctx))
	if err != nil {
		return SchemaStatus{}, d.wrap(fmt.Errorf("read the schema's version: %w", err))
	}
	return SchemaStatus{Tenant: t.name, Current: v, Newest: d.backend.newest()}, nil
}

// CheckSchema returns an error if the schema is behind or ahead of this binary.
func (d *DB) CheckSchema(ctx context.Context) error {
	s, err := d.SchemaStatus(ctx)
	if err != nil {
		return err
	}
	return s.Err()
}
