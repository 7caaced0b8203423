package engine

import (
	"context"
	"sync"

	"github.com/sluiceworks/sluice/platform/db"
)

// Notifier signals commits of a tenant to goroutines of this process. A signal has no content: the receiver reads the
// database. A lost or duplicate signal is therefore harmless.
type Notifier struct {
	mu      sync.Mutex
	ready   subscribers
	changed subscribers
}

// subscribers holds the channels by tenant.
type subscribers map[string]map[chan struct{}]bool

func newNotifier() *Notifier { return &Notifier{ready: subscribers{}, changed: subscribers{}} }

// SubscribeReady returns a channel that receives a signal after a commit that made tasks of the context's tenant ready.
// The returned function unsubscribes the channel.
func (w *Notifier) SubscribeReady(ctx context.Context) (<-chan struct{}, func()) {
	return w.subscribe(w.ready, db.TenantOf(ctx))
}

// SubscribeCommits returns a channel that receives a signal after any commit in the context's tenant. The returned
// function unsubscribes the channel.
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

// The topics of notifications between processes.
const (
	TopicReady = "ready" // tasks became ready
	TopicEnded = "ended" // executions ended, or running tasks were recovered
)

// NotifyRemote signals a commit of another process in the context's tenant. ready reports whether the commit made tasks
// ready.
func (w *Notifier) NotifyRemote(ctx context.Context, ready bool) { w.committed(ctx, ready) }

// committed signals a commit in the context's tenant. ready reports whether it made tasks ready.
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
		default: // the previous signal has not been received yet
		}
	}
}
