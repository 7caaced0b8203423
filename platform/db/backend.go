package db

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/logger"
	"gorm.io/gorm/schema"

	"github.com/sluiceworks/sluice/platform/redact"
)

const (
	postgresName = "postgres"
	sqliteName   = "sqlite"
)

// handles are the connections to one tenant.
type handles struct {
	write, read *gorm.DB
	reserved    *gorm.DB    // on separate connections, for work that must not wait for other work
	readOnly    error       // why nothing can be written, an ErrReadOnly; nil if the tenant is writable
	file        fs.FileInfo // the opened file, if the database is a file
	path        string      // the file's path when it was opened
}

// replaced reports whether the path of the opened file now leads to another file.
func (h handles) replaced() bool {
	if h.file == nil {
		return false
	}
	info, err := os.Stat(h.path)
	return err == nil && !os.SameFile(info, h.file)
}

// tenancy is how tenants are found and dropped.
type tenancy interface {
	// tenants returns this program's tenants by name, including the default tenant.
	tenants(ctx context.Context) (map[string]Tenant, error)
	// identity returns a name that distinguishes the tenant from every other on any server and in any file.
	identity(ctx context.Context, tenant string) (string, error)
	// size returns the tenant's size in bytes.
	size(ctx context.Context, tenant string) (int64, error)
	// lockDDL keeps other drops and migrations of a tenant out until release is called, across transactions.
	lockDDL(ctx context.Context, tenant string) (release func() error, err error)
	// lockExclusive runs within a transaction. It waits for writers of the tenant and keeps new ones out. It fails with
	// ErrTenantNotFound.
	lockExclusive(ctx context.Context, on gorm.ConnPool, tenant string) error
	// markDropped runs within the same transaction as seize. It makes the tenant unusable for everybody.
	markDropped(ctx context.Context, on gorm.ConnPool, tenant string) error
	// deleteTenant deletes what is left of a tenant: of one that was just erased if erased is set, otherwise of one
	// that an interrupted drop erased. It reports whether there was anything to delete.
	deleteTenant(ctx context.Context, tenant string, erased bool) (bool, error)
	// isStale reports whether handles lead to something that the tenant's name no longer refers to.
	isStale(tenant string, h handles) bool
	closeHandles(h handles) error
	ownsFile(path string) bool
}

// newBackend chooses the backend by the URL's scheme.
func newBackend(ctx context.Context, url string) (backend, error) {
	scheme, rest, found := strings.Cut(url, "://")
	switch {
	case found && (scheme == "postgres" || scheme == "postgresql"):
		return newPostgres(ctx, url)
	case found && scheme == "sqlite" && rest != "":
		return newSQLite(rest)
	case found && scheme != "sqlite":
		return nil, fmt.Errorf("%w: unknown scheme %q: use sqlite://path or postgres://user@host/database",
			ErrInvalidURL, scheme)
	}
	return nil, fmt.Errorf("%w: %q: use sqlite://path or postgres://user@host/database", ErrInvalidURL,
		redact.Database(url))
}

// gormConfig is shared by all handles. It turns implicit transactions off, returns errors instead of logging them,
// and keeps table names as they are.
func gormConfig(prefix string) *gorm.Config {
	return &gorm.Config{
		SkipDefaultTransaction: true,
		TranslateError:         false,
		DisableAutomaticPing:   true,
		QueryFields:            true,
		Logger:                 logger.Discard,
		NamingStrategy:         schema.NamingStrategy{TablePrefix: prefix, SingularTable: true},
		NowFunc:                func() time.Time { panic("time comes from the transaction") },
	}
}
