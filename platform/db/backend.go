package db

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"gorm.io/gorm"

	"github.com/sluiceworks/sluice/platform/redact"
)

const (
	postgresName = "postgres"
	sqliteName   = "sqlite"
)

// handles is how one tenant is reached.
type handles struct {
	write, read *gorm.DB
	reserved    *gorm.DB    // on connections that are kept for what must not wait for others
	readOnly    error       // why nothing can be written, an ErrReadOnly; nil: it can
	file        fs.FileInfo // what was opened, where it is a file
	path        string      // under which name
}

// replaced reports whether another file has the name of the one that was opened.
func (h handles) replaced() bool {
	if h.file == nil {
		return false
	}
	info, err := os.Stat(h.path)
	return err == nil && !os.SameFile(info, h.file)
}

// tenancy is how tenants are found and dropped.
type tenancy interface {
	// tenants gives the tenants that are this program's by name, the default one included.
	tenants(ctx context.Context) (map[string]Tenant, error)
	// identity names a tenant among all on any server and in any file.
	identity(ctx context.Context, tenant string) (string, error)
	// size is in bytes.
	size(ctx context.Context, tenant string) (int64, error)
	// guard keeps other drops and migrations of a tenant out for longer than a transaction, until release is called.
	guard(ctx context.Context, tenant string) (release func() error, err error)
	// seize, within a transaction, waits for whoever writes the tenant and keeps others from it. It fails with ErrNoTenant.
	seize(ctx context.Context, on gorm.ConnPool, tenant string) error
	// erase, within the same transaction, makes the tenant useless to all.
	erase(ctx context.Context, on gorm.ConnPool, tenant string) error
	// remove takes away what is left of a tenant: of one that was just erased, else of one that an interrupted drop has erased. It
	// reports whether there was anything.
	remove(ctx context.Context, tenant string, erased bool) (bool, error)
	// former reports whether handles lead to what the tenant's name does not mean any more.
	former(tenant string, h handles) bool
	closeHandles(h handles) error
	ownsFile(path string) bool
}

// newBackend chooses by the URL's scheme.
func newBackend(ctx context.Context, url string) (backend, error) {
	scheme, rest, found := strings.Cut(url, "://")
	switch {
	case found && (scheme == "postgres" || scheme == "postgresql"):
		return newPostgres(ctx, url)
	case found && scheme == "sqlite" && rest != "":
		return newSQLite(rest)
	case found && scheme != "sqlite":
		return nil, fmt.Errorf("%w: unknown scheme %q: use sqlite://path or postgres://user@host/database", ErrURL, scheme)
	}
	return nil, fmt.Errorf("%w: %q: use sqlite://path or postgres://user@host/database", ErrURL, redact.Database(url))
}
