package db

import (
	"sync"
	"time"

	"github.com/sluiceworks/sluice/platform/dbtype"
)

// localTransactions are the writing transactions of this process in a tenant that have not ended yet.
type localTransactions struct {
	mu    sync.Mutex
	since map[*txState]dbtype.Time
}

// enter adds a transaction and returns its time.
func (o *localTransactions) enter(state *txState, clock func() time.Time) dbtype.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.since == nil {
		o.since = map[*txState]dbtype.Time{}
	}
	now := dbtype.NewTime(clock())
	o.since[state] = now
	return now
}

func (o *localTransactions) leave(state *txState) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.since, state)
}

// OldestOpen returns the time of the oldest open transaction of this process and tenant, which may be this one. What
// the others will have written has no earlier time.
func (tx Tx) OldestOpen() dbtype.Time {
	o := tx.state.open
	o.mu.Lock()
	defer o.mu.Unlock()
	oldest := tx.Now
	for _, at := range o.since {
		if at.Before(oldest.Time) {
			oldest = at
		}
	}
	return oldest
}
