package chaos

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Exhausted is the fault's name.
const Exhausted = "exhausted connections"

const (
	exhausting = 2 * time.Second // how long no connection is free
	tooMany    = "53300"         // too_many_connections
)

// exhaust makes PostgreSQL refuse every new connection of the workers for a while, as when another program holds all
// that are left. It lowers the limit of the workers' role, because a server refuses connections beyond it with the
// same error, and filling the server itself would slow the machine. Workers can use the connections that they have,
// and cannot replace one that they close or lose.
type exhaust struct {
	since time.Time
}

func (*exhaust) name() string { return Exhausted }

func (f *exhaust) apply(ctx context.Context, r *round) (bool, error) {
	f.since = time.Now()
	if err := r.server.limitWorkers(ctx, 0); err != nil {
		return false, nil //nolint:nilerr // another fault came first
	}
	if !pause(ctx, exhausting) {
		return false, nil
	}
	err := r.server.tool(ctx, "psql", "-q", "-U", workerRole, "-d", r.name, "-c", "SELECT 1") // the later -U counts
	switch {
	case err == nil:
		return false, errors.New("the limit of connections has no effect")
	case strings.Contains(err.Error(), "too many connections for role"):
		return true, nil
	}
	return false, nil // another fault came first
}

// heal lifts the limit. What waited for a connection meanwhile counts as having waited for the server.
func (f *exhaust) heal(ctx context.Context, r *round) error {
	ctx, cancel := context.WithTimeout(ctx, recovery)
	defer cancel()
	err := r.server.limitWorkers(ctx, -1)
	for err != nil && pause(ctx, again) { // until then another fault was active
		err = r.server.limitWorkers(ctx, -1)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.back = time.Now()
	r.outages = append(r.outages, span{from: f.since, to: r.back})
	return err
}

// limitWorkers limits how many connections the workers may have from now on. -1 is no limit.
func (s *server) limitWorkers(ctx context.Context, n int) error {
	return s.statement(ctx, fmt.Sprintf(`ALTER ROLE %s CONNECTION LIMIT %d`, workerRole, n))
}
