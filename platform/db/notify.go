package db

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// A topic is the text of a notification to other processes: there may be something new to read. It contains no data.
// Listeners read the tables, so a notification that is lost, doubled or late does no harm.
type topic = string

// Notify sends the topic to the other processes of the tenant, only if the transaction commits.
func (tx Tx) Notify(t topic) {
	for _, said := range tx.state.topics {
		if said == t {
			return
		}
	}
	tx.state.topics = append(tx.state.topics, t)
}

// Listen calls heard for each topic that another process of the tenant has sent, until ctx ends. After any period in
// which it may have missed something, it calls heard with the empty topic. It reconnects by itself.
func (d *DB) Listen(ctx context.Context, handle func(t topic)) error {
	return d.backend.listen(ctx, TenantOf(ctx), d.instance, handle)
}

// notifyMinInterval is the minimum time between two notifications of a process. Each commit with a notification takes a
// lock that all such commits share, which makes small transactions 2 to 5 times slower, and a listener that is awake
// reads everything anyway.
const notifyMinInterval = 10 * time.Millisecond

// debouncer lets the first notification through immediately and collects those that follow too soon.
type debouncer struct {
	mu      sync.Mutex
	last    map[string]time.Time
	pending map[string]map[topic]bool
	send    func(ctx context.Context, tenant string, topics []topic) // for the collected topics
}

func newDebouncer(send func(ctx context.Context, tenant string, topics []topic)) *debouncer {
	return &debouncer{last: map[string]time.Time{}, pending: map[string]map[topic]bool{}, send: send}
}

// allow reports whether a transaction may send its notification itself.
func (b *debouncer) allow(tenant string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if now := time.Now(); now.Sub(b.last[tenant]) >= notifyMinInterval {
		b.last[tenant] = now
		return true
	}
	return false
}

// later sends the topics of a transaction that was committed without its notification.
func (b *debouncer) later(tenant string, topics []topic) {
	b.mu.Lock()
	defer b.mu.Unlock()
	waiting := b.pending[tenant]
	if waiting == nil {
		waiting = map[topic]bool{}
		b.pending[tenant] = waiting
		time.AfterFunc(notifyMinInterval, func() { b.flush(tenant, inDoubtTimeout) })
	}
	for _, t := range topics {
		waiting[t] = true
	}
}

// flush sends the topics that are collected for a tenant, if any. It gives up after limit.
//
//nolint:contextcheck,nolintlint // the caller's context may have ended, and the commits that the topics follow are done
func (b *debouncer) flush(tenant string, limit time.Duration) {
	b.mu.Lock()
	var topics []topic
	for t := range b.pending[tenant] {
		topics = append(topics, t)
	}
	delete(b.pending, tenant)
	b.last[tenant] = time.Now()
	b.mu.Unlock()
	if len(topics) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	b.send(ctx, tenant, topics)
}

// flushAll sends the topics that are collected for all tenants. It gives up after limit for each.
func (b *debouncer) flushAll(limit time.Duration) {
	b.mu.Lock()
	tenants := slices.Collect(maps.Keys(b.pending))
	b.mu.Unlock()
	for _, tenant := range tenants {
		b.flush(tenant, limit)
	}
}

// payload returns a notification's text: the sending process, and the topics.
func payload(instance string, topics []topic) string {
	return instance + " " + strings.Join(topics, " ")
}

// deliver calls heard for the topics of a payload, unless this process sent it.
func deliver(instance, text string, handle func(topic)) {
	from, topics, _ := strings.Cut(text, " ")
	if from == instance {
		return
	}
	for _, t := range strings.Fields(topics) {
		handle(t)
	}
}
