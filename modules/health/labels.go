package health

import "sync"

// maxPipelines bounds the values of the label "pipeline" per tenant, so that generated names do not overload the
// metrics store.
const maxPipelines = 200

// otherPipelines is the label of all pipelines beyond the bound.
const otherPipelines = "other"

// labels are the pipelines with a label of their own, which are the first ones seen.
type labels struct {
	mu    sync.Mutex
	known map[string]map[string]bool // by tenant
}

// of returns the label of a tenant's pipeline.
func (l *labels) of(tenant, pipeline string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	known := l.known[tenant]
	if known[pipeline] {
		return pipeline
	}
	if len(known) >= maxPipelines {
		return otherPipelines
	}
	if known == nil {
		if l.known == nil {
			l.known = map[string]map[string]bool{}
		}
		known = map[string]bool{}
		l.known[tenant] = known
	}
	known[pipeline] = true
	return pipeline
}

func (l *labels) forget(tenant string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.known, tenant)
}
