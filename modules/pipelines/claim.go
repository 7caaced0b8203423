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

// ClaimRequest describes the tasks that a worker can claim.
type ClaimRequest struct {
	Worker         string
	LeaseExpiresAt db.Time // as of the worker's last renewal
	Want           outbox.ClaimFilter
}

// Claim is a task that a worker holds. It is marked as started, so its handler may run.
type Claim struct {
	Task       tasks.Task // its Version is the fence: every write of the worker checks it
	Pipeline   string
	RunAttempt int           // see Execution.Attempt
	Resumed    bool          // the attempt continues after a deferral
	Waited     time.Duration // time from due to claimed; 0 for an eager claim
	Definition *definition.Task
	Input      json.RawMessage
	Needs      map[string]json.RawMessage // outputs of the dependencies that the task may read
	Past       map[string]definition.Past // results of the dependencies that the task's expressions read
	// the outputs that the task reads exceed tasks.MaxNeeds together: Needs is nil and the task cannot run
	Excess error

	def  *definition.Definition // the complete definition; nil if unknown
	plan *plan                  // the plan that made the task ready, while the exchange of an eager claim runs
}

// Claim claims due tasks from the outbox and marks them started. The worker must have a free slot for each. It is an
// exchange without outcomes. Claim returns leases.ErrExpired if the worker's lease has expired.
func (e *Engine) Claim(ctx context.Context, r ClaimRequest) ([]Claim, error) {
	t, err := e.CompleteAndClaim(ctx, ExchangeRequest{Worker: r.Worker, LeaseExpiresAt: r.LeaseExpiresAt, Filter: r.Want, PollOutbox: true})
	if err == nil && t.Expired {
		err = leases.ErrExpired
	}
	return t.Claims, err
}

// distinct returns list without duplicates, in the same order.
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
