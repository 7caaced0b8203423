package pipelines

import (
	"context"
	"encoding/json"
	"time"

	"github.com/sluiceworks/sluice/modules/leases"
	"github.com/sluiceworks/sluice/modules/outbox"
	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db"
)

// ClaimRequest asks for work.
type ClaimRequest struct {
	Worker         string
	LeaseExpiresAt db.Time // of the worker, as it last renewed it
	Want           outbox.ClaimFilter
}

// Claim is a task that a worker holds, begun: its handler may run from now on.
type Claim struct {
	Task       tasks.Task // its Version is the fence: every write of the worker names it
	Pipeline   string
	RunAttempt int           // see Execution.Attempt
	Resumed    bool          // after a deferral
	Waited     time.Duration // from when it was due to the claim; 0: it became ready in the same transaction
	Definition *definition.Task
	Input      json.RawMessage
	Needs      map[string]json.RawMessage // outputs of the dependencies that the task may use
	Past       map[string]definition.Past // how dependencies ended, as far as the task's expressions ask
	// the outputs that the task needs are too large together: Needs is nil, and it cannot run
	Excess error

	def  *definition.Definition // the whole; nil: unknown
	plan *plan                  // in which it became ready, within the turn that claims it
}

// Claim takes due tasks from the outbox for a worker that has a free slot for each, and marks them started: a Turn
// without outcomes. It fails with leases.ErrExpired for a worker whose lease has expired.
func (e *Engine) Claim(ctx context.Context, r ClaimRequest) ([]Claim, error) {
	t, err := e.CompleteAndClaim(ctx, ExchangeRequest{Worker: r.Worker, LeaseExpiresAt: r.LeaseExpiresAt, Filter: r.Want, PollOutbox: true})
	if err == nil && t.Expired {
		err = leases.ErrExpired
	}
	return t.Claims, err
}

// distinct drops repeats, keeping the order.
func distinct[T comparable](list []T) []T {
	seen := make(map[T]bool, len(list))
	out := make([]T, 0, len(list))
	for _, v := range list {
		if !seen[v] {
			seen[v] = true
			out = append(out, v)
		}
	}
	return out
}
