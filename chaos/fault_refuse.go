package chaos

import (
	"context"
	"fmt"
	"time"
)

// ReadOnly is the fault's name.
const ReadOnly = "read-only switch"

// refusing is how long the server refuses writes.
const refusing = 500 * time.Millisecond

// readOnly makes every new session of the database read-only for a while, as on a server that has become a standby,
// and ends the workers' sessions. Sessions that the workers open meanwhile stay read-only, so they must replace them
// themselves.
type readOnly struct{}

func (readOnly) name() string { return ReadOnly }

func (readOnly) apply(ctx context.Context, r *round) (bool, error) {
	if err := r.server.statement(ctx,
		fmt.Sprintf(`ALTER DATABASE %s SET default_transaction_read_only = on`, r.name)); err != nil {
		return false, nil //nolint:nilerr // another fault came first
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
			return err // until then another fault was active
		}
	}
}
