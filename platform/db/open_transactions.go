package db

import (
	"sync"
	"time"
)

// openTransactions knows the writing transactions of this process in a tenant that have not ended yet.
type openTransactions struct {
	mu    sync.Mutex
	since map[*txState]Time
}

// enter gives a transaction its instant.
func (o *openTransactions) enter(state *txState, clock func() time.Time) Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.since == nil {
		o.since = map[*txState]Time{}
	}
	now := At(clock())
	o.since[state] = now
	return now
}

func (o *openTransactions) leave(state *txState) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.since, state)
}

// OldestOpen is the instant of the oldest transaction of this process and tenant that is still open, perhaps this one: what others
// of them will have written bears no earlier one.
func (tx Tx) OldestOpen() Time {
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
