package db

import (
	"context"
	"fmt"
	"strings"

	"gorm.io/gorm"
)

const (
	postgresName = "postgres"
	sqliteName   = "sqlite"
)

// handles is how one tenant is reached.
type handles struct {
	write, read *gorm.DB
	reserved    *gorm.DB // on connections that are kept for what must not wait for others
	readOnly    error    // why nothing can be written, an ErrReadOnly; nil: it can
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
	return nil, fmt.Errorf("%w: %q: use sqlite://path or postgres://user@host/database", ErrURL, url)
}
