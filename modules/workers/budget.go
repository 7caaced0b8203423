package workers

import (
	"context"
	"sync"
)

// Budget is slots that several pools share. A pool takes slots before it claims and gives them back as its tasks' outcomes are
// recorded, and at once what it could not use. Who wants slots when there are none waits in a row: the first in it is served first,
// with an equal share of what is free, so a pool with ten thousand tasks gives way to others with every group of its own that ends.
// A pool that nobody waits beside may take all.
type Budget struct {
	mu      sync.Mutex
	slots   int
	free    int
	waiting []*waiter // in the order in which they came
}

// waiter is a pool that waits for slots.
type waiter struct {
	want    int
	granted chan int // of size 1: how many it was given
}

// NewBudget makes a budget of slots, at least 1.
func NewBudget(slots int) *Budget {
	slots = max(slots, 1)
	return &Budget{slots: slots, free: slots}
}

// State gives the number of slots in all, and of those that are taken.
func (b *Budget) State() (slots, used int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.slots, b.slots - b.free
}

// take waits for at least one slot and takes at most want, which is above 0. It gives 0 only if ctx has ended. A pool without a
// budget has what it wants.
func (b *Budget) take(ctx context.Context, want int) int {
	if b == nil {
		return want
	}
	w := &waiter{want: want, granted: make(chan int, 1)}
	b.mu.Lock()
	b.waiting = append(b.waiting, w)
	b.serve()
	b.mu.Unlock()
	select {
	case n := <-w.granted:
		return n
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, other := range b.waiting {
		if other == w {
			b.waiting = append(b.waiting[:i], b.waiting[i+1:]...)
			return 0
		}
	}
	b.free += <-w.granted // it was served as it gave up
	b.serve()
	return 0
}

// give gives n slots back.
func (b *Budget) give(n int) {
	if b == nil || n == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.free += n
	b.serve()
}

// serve gives free slots to those who wait, each an equal share, but at least one. Callers hold the lock.
func (b *Budget) serve() {
	for b.free > 0 && len(b.waiting) > 0 {
		w := b.waiting[0]
		b.waiting = b.waiting[1:]
		n := min(w.want, (b.free+len(b.waiting))/(len(b.waiting)+1))
		b.free -= n
		w.granted <- n
	}
}
