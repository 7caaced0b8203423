package definition

import (
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/sluiceworks/sluice/platform/duration"
)

func (r *decoder) retention(n *yaml.Node, at *keyPath) *Retention {
	out := &Retention{}
	for _, p := range r.mapping(n, at, "retention", retainKeys) {
		*out.field(p.name) = r.duration(p.value, at.key(p.name), p.name, 0)
	}
	return out
}

// field returns the setting with a key.
func (t *Retention) field(key string) *time.Duration {
	switch key {
	case "events":
		return &t.Events
	case "outputs":
		return &t.Outputs
	case "logs":
		return &t.Logs
	}
	return &t.Executions
}

// check checks a Retention, which may have been built in Go.
func (t *Retention) check(r *decoder) {
	if t == nil {
		return
	}
	for _, key := range retainKeys {
		if *t.field(key) < 0 {
			r.add((*keyPath)(nil).key("retention").key(key), duration.Hint, "retention of %s is negative", key)
		}
	}
}
