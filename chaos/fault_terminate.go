package chaos

import (
	"context"
	"errors"

	"github.com/sluiceworks/sluice/platform/db"
)

// terminate ends the backend of a random connection of a worker.
type terminate struct{}

func (terminate) name() string { return "backend terminated" }

func (terminate) apply(ctx context.Context, r *round) (bool, error) {
	n, err := count(ctx, r.db, `SELECT COUNT(*) FROM (SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = $name ORDER BY random() LIMIT 1) AS terminated`, db.Args{"name": workerApplication})
	if errors.Is(err, db.ErrUnavailable) {
		return false, nil // another fault was there first
	}
	return n > 0, err
}

func (terminate) heal(context.Context, *round) error { return nil }
