package chaos

import (
	"context"

	"github.com/sluiceworks/sluice/platform/db"
)

// terminate ends the backend of a random connection of a worker.
type terminate struct{}

func (terminate) name() string { return "backend terminated" }

func (terminate) apply(ctx context.Context, r *round) (bool, error) { return endSessions(ctx, r, 1) }

func (terminate) heal(context.Context, *round) error { return nil }

// allSessions is more than the workers have.
const allSessions = 1000

// endSessions ends at most most sessions of the workers, chosen at random, and reports whether there was one.
func endSessions(ctx context.Context, r *round, most int) (bool, error) {
	n, err := count(ctx, r.db, `SELECT COUNT(*) FROM (SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = $name ORDER BY random() LIMIT $most) AS terminated`,
		db.Args{"name": workerApplication, "most": most})
	if db.Away(err) {
		return false, nil // another fault came first
	}
	return n > 0, err
}
