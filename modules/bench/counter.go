package bench

import (
	"context"
	"sync"
)

// counter counts the tasks that have ended in all processes. Goroutines can wait until it reaches a number.
type counter struct {
	mu      sync.Mutex
	done    int64
	failure error // the first failure
	waiting map[*waiter]bool
}

type waiter struct {
	atLeast int64
	reached chan struct{}
}

func newTally() *counter { return &counter{waiting: map[*waiter]bool{}} }

// add adds n to the count.
func (t *counter) add(n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.done += n
	t.wake()
}

// fail records that the benchmark has failed, and wakes all waiting goroutines.
func (t *counter) fail(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.failure == nil {
		t.failure = err
	}
	t.wake()
}

func (t *counter) wake() {
	for w := range t.waiting {
		if t.failure != nil || t.done >= w.atLeast {
			close(w.reached)
			delete(t.waiting, w)
		}
	}
}

// count returns the current count.
func (t *counter) count() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.done
}

// await waits until the count is at least atLeast. It returns an error if the benchmark has failed or ctx ends.
func (t *counter) await(ctx context.Context, atLeast int64) error {
	t.mu.Lock()
	w := &waiter{atLeast, make(chan struct{})}
	t.waiting[w] = true
	t.wake()
	t.mu.Unlock()
	select {
	case <-w.reached:
	case <-ctx.Done():
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.waiting, w)
	if t.failure != nil {
		return t.failure
	}
	return ctx.Err()
}
