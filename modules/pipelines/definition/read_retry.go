package definition

import (
	"strconv"

	"go.yaml.in/yaml/v3"

	"github.com/sluiceworks/sluice/modules/pipelines/definition/yamlfile"
	"github.com/sluiceworks/sluice/modules/tasks"
)

// retry reads a policy into p, the inherited one. Only a max_delay and a delay in the same mapping can contradict
// each other. Against an inherited one, the one written here takes precedence.
func (r reader) retry(n *yaml.Node, at *yamlfile.Path, p tasks.RetryPolicy) tasks.RetryPolicy {
	var delay, limit *yaml.Node
	for _, q := range r.Mapping(n, at, "retry", retryKeys) {
		at := at.Key(q.Name)
		switch q.Name {
		case "max_attempts":
			p.MaxAttempts = r.Integer(q.Value, at, q.Name, attemptsHint, 1, maxAttempts, p.MaxAttempts)
		case "backoff":
			p.Backoff = choice(r, q.Value, at, q.Name, tasks.Backoffs(), p.Backoff)
		case "delay":
			delay, p.Delay = q.Value, r.Duration(q.Value, at, q.Name, p.Delay)
		case "max_delay":
			limit, p.MaxDelay = q.Value, r.Duration(q.Value, at, q.Name, p.MaxDelay)
		case "jitter":
			p.Jitter = r.jitter(q.Value, at, p.Jitter)
		case "permanent_errors":
			p.PermanentErrors = r.errorKinds(q.Value, at)
		}
	}
	if p.MaxDelay == 0 || p.MaxDelay >= p.Delay {
		return p
	}
	switch {
	case delay != nil && limit != nil:
		r.AddAt(limit, at.Key("max_delay"), "", "max_delay (%s) is shorter than delay (%s)", limit.Value, delay.Value)
		p.MaxDelay = p.Delay
	case delay != nil:
		p.MaxDelay = p.Delay
	default:
		p.Delay = p.MaxDelay
	}
	return p
}

func (r reader) jitter(n *yaml.Node, at *yamlfile.Path, fallback float64) float64 {
	f, err := strconv.ParseFloat(n.Value, 64)
	if n.Kind != yaml.ScalarNode || n.Tag != "!!int" && n.Tag != "!!float" || err != nil {
		r.AddAt(n, at, jitterHint, "jitter must be a number, and is %s", yamlfile.Describe(n))
		return fallback
	}
	if !(f >= 0 && f <= 1) {
		r.AddAt(n, at, jitterHint, "jitter is %s", n.Value)
		return fallback
	}
	return f
}

func (r reader) errorKinds(n *yaml.Node, at *yamlfile.Path) []tasks.ErrorKind {
	var out []tasks.ErrorKind
	for i, s := range r.Texts(n, at, "permanent_errors") {
		kind := tasks.ErrorKind(s)
		if s != "" && !known(kind, tasks.ErrorKinds()) {
			entry := yamlfile.Child(n, at.Item(i))
			r.AddAt(entry, at.Item(i), r.Suggest(s, names(tasks.ErrorKinds())), "unknown kind of error %q", s)
			continue
		}
		out = append(out, kind)
	}
	return out
}

// choice reads one value of a closed set. It returns fallback after reporting a mistake.
func choice[S ~string](r reader, n *yaml.Node, at *yamlfile.Path, what string, allowed []S, fallback S) S {
	s := r.Text(n, at, what)
	if s == "" {
		return fallback
	}
	if !known(S(s), allowed) {
		r.AddAt(n, at, r.Suggest(s, names(allowed)), "unknown %s %q", what, s)
		return fallback
	}
	return S(s)
}
