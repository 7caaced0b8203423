package definition

import (
	"strconv"

	"go.yaml.in/yaml/v3"

	"github.com/sluiceworks/sluice/modules/tasks"
)

// retry reads a policy into p, the inherited one. Only a max_delay and a delay in the same mapping can contradict
// each other. Against an inherited one, the one written here takes precedence.
func (r *decoder) retry(n *yaml.Node, at *keyPath, p tasks.RetryPolicy) tasks.RetryPolicy {
	var delay, limit *yaml.Node
	for _, q := range r.mapping(n, at, "retry", retryKeys) {
		at := at.key(q.name)
		switch q.name {
		case "max_attempts":
			p.MaxAttempts = r.integer(q.value, at, q.name, attemptsHint, 1, maxAttempts, p.MaxAttempts)
		case "backoff":
			p.Backoff = choice(r, q.value, at, q.name, tasks.Backoffs(), p.Backoff)
		case "delay":
			delay, p.Delay = q.value, r.duration(q.value, at, q.name, p.Delay)
		case "max_delay":
			limit, p.MaxDelay = q.value, r.duration(q.value, at, q.name, p.MaxDelay)
		case "jitter":
			p.Jitter = r.jitter(q.value, at, p.Jitter)
		case "permanent_errors":
			p.PermanentErrors = r.errorKinds(q.value, at)
		}
	}
	if p.MaxDelay == 0 || p.MaxDelay >= p.Delay {
		return p
	}
	switch {
	case delay != nil && limit != nil:
		r.addAt(limit, at.key("max_delay"), "", "max_delay (%s) is shorter than delay (%s)", limit.Value, delay.Value)
		p.MaxDelay = p.Delay
	case delay != nil:
		p.MaxDelay = p.Delay
	default:
		p.Delay = p.MaxDelay
	}
	return p
}

func (r *decoder) jitter(n *yaml.Node, at *keyPath, fallback float64) float64 {
	f, err := strconv.ParseFloat(n.Value, 64)
	if n.Kind != yaml.ScalarNode || n.Tag != "!!int" && n.Tag != "!!float" || err != nil {
		r.addAt(n, at, jitterHint, "jitter must be a number, and is %s", describe(n))
		return fallback
	}
	if !(f >= 0 && f <= 1) {
		r.addAt(n, at, jitterHint, "jitter is %s", n.Value)
		return fallback
	}
	return f
}

func (r *decoder) errorKinds(n *yaml.Node, at *keyPath) []tasks.ErrorKind {
	var out []tasks.ErrorKind
	for i, s := range r.texts(n, at, "permanent_errors") {
		kind := tasks.ErrorKind(s)
		if s != "" && !known(kind, tasks.ErrorKinds()) {
			entry := child(n, at.at(i))
			r.addAt(entry, at.at(i), r.suggest(s, names(tasks.ErrorKinds())), "unknown kind of error %q", s)
			continue
		}
		out = append(out, kind)
	}
	return out
}

// choice reads one value of a closed set. It returns fallback after reporting a mistake.
func choice[S ~string](r *decoder, n *yaml.Node, at *keyPath, what string, allowed []S, fallback S) S {
	s := r.text(n, at, what)
	if s == "" {
		return fallback
	}
	if !known(S(s), allowed) {
		r.addAt(n, at, r.suggest(s, names(allowed)), "unknown %s %q", what, s)
		return fallback
	}
	return S(s)
}
