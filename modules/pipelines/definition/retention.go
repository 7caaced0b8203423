package definition

import (
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/sluiceworks/sluice/modules/pipelines/definition/yamlfile"
	"github.com/sluiceworks/sluice/platform/duration"
)

func (r reader) retention(n *yaml.Node, at *yamlfile.Path) *Retention {
	out := &Retention{}
	for _, p := range r.Mapping(n, at, "retention", retainKeys) {
		*out.field(p.Name) = r.Duration(p.Value, at.Key(p.Name), p.Name, 0)
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
func (t *Retention) check(r *yamlfile.Decoder) {
	if t == nil {
		return
	}
	for _, key := range retainKeys {
		if *t.field(key) < 0 {
			r.Add(yamlfile.Key("retention").Key(key), duration.Hint, "retention of %s is negative", key)
		}
	}
}
