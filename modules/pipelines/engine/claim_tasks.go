package engine

import (
	"context"

	"github.com/sluiceworks/sluice/modules/leases"
	"github.com/sluiceworks/sluice/modules/outbox"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// ClaimRequest describes the tasks that a worker can claim.
type ClaimRequest struct {
	Worker         string
	LeaseExpiresAt dbtype.Time // as of the worker's last renewal
	Want           outbox.ClaimFilter
}

// Claim claims due tasks from the outbox and marks them started. The worker must have a free slot for each. It is an
// exchange without outcomes. Claim returns leases.ErrExpired if the worker's lease has expired.
func (e *Engine) Claim(ctx context.Context, r ClaimRequest) ([]pipelines.Claim, error) {
	t, err := e.CompleteAndClaim(ctx,
		ExchangeRequest{Worker: r.Worker, LeaseExpiresAt: r.LeaseExpiresAt, Filter: r.Want, PollOutbox: true})
	if err == nil && t.Expired {
		err = leases.ErrExpired
	}
	return t.Polled, err
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
