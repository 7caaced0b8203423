package pipelines

import (
	"context"
	"sync"

	"github.com/sluiceworks/sluice/platform/db"
)

// Notifier tells goroutines of this process that something has been committed in their tenant. It carries no news:
// whoever is woken looks for itself, so a signal lost or doubled does no harm.
type Notifier struct {
	mu      sync.Mutex
	ready   subscribers
	changed subscribers
}

// subscribers are the channels of each tenant.
type subscribers map[string]map[chan struct{}]bool

func newNotifier() *Notifier { return &Notifier{ready: subscribers{}, changed: subscribers{}} }

// SubscribeReady gives a channel that receives after a commit that made tasks of the context's tenant available, and a
// function that ends it.
func (w *Notifier) SubscribeReady(ctx context.Context) (<-chan struct{}, func()) {
	return w.subscribe(w.ready, db.TenantOf(ctx))
}

// SubscribeCommits gives a channel that receives after any commit in the context's tenant, and a function that ends it.
func (w *Notifier) SubscribeCommits(ctx context.Context) (<-chan struct{}, func()) {
	return w.subscribe(w.changed, db.TenantOf(ctx))
}

func (w *Notifier) subscribe(to subscribers, tenant string) (<-chan struct{}, func()) {
	c := make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if to[tenant] == nil {
		to[tenant] = map[chan struct{}]bool{}
	}
	to[tenant][c] = true
	return c, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(to[tenant], c)
		if len(to[tenant]) == 0 {
			delete(to, tenant)
		}
	}
}

// Topics of notifications between processes.
const (
	TopicReady = "ready" // tasks became available
	TopicEnded = "ended" // running tasks were taken from their workers
)

// NotifyRemote signals a commit of another process in the context's tenant. ready reports whether the commit made tasks
// available.
func (w *Notifier) NotifyRemote(ctx context.Context, ready bool) { w.committed(ctx, ready) }

// committed signals; ready says whether tasks became available.
func (w *Notifier) committed(ctx context.Context, ready bool) {
	tenant := db.TenantOf(ctx)
	w.mu.Lock()
	defer w.mu.Unlock()
	signal(w.changed[tenant])
	if ready {
		signal(w.ready[tenant])
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
