package pipelines

import "sync"

// Waker tells goroutines of this process that something has been committed. It carries no news: whoever is woken looks for
// itself, so a signal lost or doubled does no harm.
type Waker struct {
	mu      sync.Mutex
	ready   map[chan struct{}]bool
	changed map[chan struct{}]bool
}

func newWaker() *Waker {
	return &Waker{ready: map[chan struct{}]bool{}, changed: map[chan struct{}]bool{}}
}

// Ready gives a channel that receives after a commit that made tasks available, and a function that ends it.
func (w *Waker) Ready() (<-chan struct{}, func()) { return w.subscribe(w.ready) }

// Changed gives a channel that receives after any commit, and a function that ends it.
func (w *Waker) Changed() (<-chan struct{}, func()) { return w.subscribe(w.changed) }

func (w *Waker) subscribe(set map[chan struct{}]bool) (<-chan struct{}, func()) {
	c := make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	set[c] = true
	return c, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(set, c)
	}
}

// Topics of notifications between processes.
const (
	TopicReady = "ready" // tasks became available
	TopicEnded = "ended" // running tasks were taken from their workers
)

// Told signals what another process has committed.
func (w *Waker) Told() { w.committed(true) }

// committed signals; ready says whether tasks became available.
func (w *Waker) committed(ready bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	signal(w.changed)
	if ready {
		signal(w.ready)
	}
}

func signal(set map[chan struct{}]bool) {
	for c := range set {
		select {
		case c <- struct{}{}:
		default: // it has a signal that it has not seen yet
		}
	}
}
