package chaos

import (
	"context"
	"fmt"
	"time"
)

// ReadOnly is the fault's name.
const ReadOnly = "read-only switch"

// refusing is for how long the server refuses what it did before.
const refusing = 500 * time.Millisecond

// readOnly makes every new session of the database read-only for a while, as it is on a server that has become a standby, and ends the
// workers' sessions. What the workers opened meanwhile stays read-only: they have to replace it themselves.
type readOnly struct{}

func (readOnly) name() string { return ReadOnly }

func (readOnly) apply(ctx context.Context, r *round) (bool, error) {
	if err := r.server.statement(ctx, fmt.Sprintf(`ALTER DATABASE %s SET default_transaction_read_only = on`, r.name)); err != nil {
		return false, nil //nolint:nilerr // another fault was there first
	}
	hit, err := endSessions(ctx, r, allSessions)
	pause(ctx, refusing)
	return hit, err
}

func (readOnly) heal(ctx context.Context, r *round) error {
	ctx, cancel := context.WithTimeout(ctx, recovery)
	defer cancel()
	for {
		err := r.server.statement(ctx, fmt.Sprintf(`ALTER DATABASE %s RESET default_transaction_read_only`, r.name))
		if err == nil || !pause(ctx, again) {
			return err // before that, another fault was under way
		}
	}
}
