package definition

import (
	"maps"
	"strconv"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/sluiceworks/sluice/modules/tasks"
)

var (
	pipelineKeys = []string{"name", "input", "defaults", "tasks", "retention"}
	fieldKeys    = []string{"type", "required", "default", "description"}
	defaultsKeys = []string{"retry", "timeout", "env", "queue", "priority"}
	taskKeys     = []string{"id", "needs", "uses", "with", "run", "env", "if", "trigger_rule", "timeout", "retry", "queue", "priority"}
	retainKeys   = []string{"events", "outputs", "logs", "executions"}
	retryKeys    = []string{"max_attempts", "backoff", "delay", "max_delay", "jitter", "permanent_errors"}
)

// settings are what tasks inherit.
type settings struct {
	retry   tasks.RetryPolicy
	timeout time.Duration
	env     map[string]string

	queue    string
	priority tasks.Priority
}

// pipeline reads the document; what is wrong in it is reported and left at its zero value or its default.
func (r *reporter) pipeline(root *yaml.Node) (*Definition, bool) {
	if root.Kind != yaml.MappingNode {
		r.addNode(root, nil, "a pipeline has a name and tasks", "the file must hold a mapping, and holds %s", describe(root))
		return nil, false
	}
	d := &Definition{}
	inherited := settings{retry: tasks.DefaultRetryPolicy(), timeout: DefaultTimeout, queue: tasks.DefaultQueue, priority: tasks.Normal}
	var list *yaml.Node
	for _, p := range r.mapping(root, nil, "the pipeline", pipelineKeys) {
		at := (*place)(nil).key(p.name)
		switch p.name {
		case "name":
			d.Name = r.text(p.value, at, "name")
		case "input":
			d.Input = r.fields(p.value, at)
		case "defaults":
			inherited = r.defaults(p.value, at, inherited)
		case "retention":
			d.Retention = r.retention(p.value, at)
		case "tasks":
			list = p.value // last: the defaults may stand below
		}
	}
	if list != nil {
		d.Tasks = r.tasks(list, (*place)(nil).key("tasks"), inherited)
	}
	return d, true
}

func (r *reporter) fields(n *yaml.Node, at *place) []InputField {
	var out []InputField
	for _, p := range r.mapping(n, at, "input", nil) {
		out = append(out, r.field(p, at.key(p.name)))
	}
	return out
}

// field reads {type, required, default, description}, the type alone, or nothing at all, which is any.
func (r *reporter) field(p pair, at *place) InputField {
	f := InputField{Name: p.name}
	if p.value.Kind == yaml.ScalarNode {
		if p.value.Tag != "!!null" {
			if f.Type = r.text(p.value, at.key("type"), "the type of "+p.name); f.Type != "" && !known(f.Type, fieldTypes) {
				r.addNode(p.value, at.key("type"), r.suggest(f.Type, fieldTypes), "unknown type %q", f.Type)
			}
		}
		return f
	}
	for _, q := range r.mapping(p.value, at, "the input field "+p.name, fieldKeys) {
		at := at.key(q.name)
		switch q.name {
		case "type":
			f.Type = r.text(q.value, at, "type")
		case "required":
			f.Required = r.flag(q.value, at, "required")
		case "description":
			f.Description = r.text(q.value, at, "description")
		case "default":
			f.Default = mustEncode(r.value(q.value, at))
		}
	}
	return f
}

func (r *reporter) defaults(n *yaml.Node, at *place, s settings) settings {
	for _, p := range r.mapping(n, at, "defaults", defaultsKeys) {
		at := at.key(p.name)
		switch p.name {
		case "retry":
			s.retry = r.retry(p.value, at, s.retry)
		case "timeout":
			s.timeout = r.duration(p.value, at, "timeout", s.timeout)
		case "env":
			s.env = r.env(p.value, at, nil)
		case "queue":
			s.queue = r.text(p.value, at, "queue")
		case "priority":
			s.priority = choice(r, p.value, at, "priority", tasks.Priorities(), s.priority)
		}
	}
	return s
}

func (r *reporter) tasks(n *yaml.Node, at *place, inherited settings) []Task {
	if n.Kind != yaml.SequenceNode {
		r.addNode(n, at, "begin each task with - id:", "tasks must be a list, and is %s", describe(n))
		return nil
	}
	if len(n.Content) > MaxTasks {
		r.addNode(n, at, "", "%d tasks are more than the limit of %d", len(n.Content), MaxTasks)
		return nil
	}
	out := make([]Task, len(n.Content))
	for i, c := range n.Content {
		out[i] = r.task(c, at.at(i), inherited)
	}
	return out
}

func (r *reporter) task(n *yaml.Node, at *place, inherited settings) Task {
	t := Task{
		Retry: inherited.retry, Timeout: inherited.timeout, Env: maps.Clone(inherited.env),
		Queue: inherited.queue, Priority: inherited.priority,
	}
	for _, p := range r.mapping(n, at, "the task", taskKeys) {
		at := at.key(p.name)
		switch p.name {
		case "id":
			t.ID = r.text(p.value, at, "id")
		case "needs":
			t.Needs = r.texts(p.value, at, "needs")
		case "uses":
			t.Uses = r.text(p.value, at, "uses")
		case "with":
			t.With = r.with(p.value, at)
		case "run":
			t.Run = r.text(p.value, at, "run")
		case "env":
			t.Env = r.env(p.value, at, t.Env)
		case "if":
			t.If = r.anyText(p.value, at, "if")
		case "trigger_rule":
			t.TriggerRule = Rule(r.text(p.value, at, "trigger_rule"))
		case "timeout":
			t.Timeout = r.duration(p.value, at, "timeout", t.Timeout)
		case "retry":
			t.Retry = r.retry(p.value, at, t.Retry)
		case "queue":
			t.Queue = r.text(p.value, at, "queue")
		case "priority":
			t.Priority = choice(r, p.value, at, "priority", tasks.Priorities(), t.Priority)
		}
	}
	return t
}

func (r *reporter) with(n *yaml.Node, at *place) []byte {
	if n.Kind != yaml.MappingNode {
		r.addNode(n, at, "", "with must be a mapping, and is %s", describe(n))
		return nil
	}
	return mustEncode(r.value(n, at))
}

// texts reads a list of texts, or one that stands alone.
func (r *reporter) texts(n *yaml.Node, at *place, what string) []string {
	if n.Kind == yaml.ScalarNode {
		if s := r.text(n, at, what); s != "" {
			return []string{s}
		}
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		r.addNode(n, at, "", "%s must be a list, and is %s", what, describe(n))
		return nil
	}
	out := make([]string, len(n.Content))
	for i, c := range n.Content {
		out[i] = r.text(c, at.at(i), "an entry of "+what)
	}
	return out
}

// env reads variables and lays them over those inherited.
func (r *reporter) env(n *yaml.Node, at *place, over map[string]string) map[string]string {
	if over == nil {
		over = map[string]string{}
	}
	for _, p := range r.mapping(n, at, "env", nil) {
		over[p.name] = r.anyText(p.value, at.key(p.name), p.name)
	}
	return over
}

// retry reads a policy and lays it, setting by setting, over the one inherited. Only a cap and a delay that stand side by side
// can contradict each other: against an inherited one, what is written here wins.
func (r *reporter) retry(n *yaml.Node, at *place, p tasks.RetryPolicy) tasks.RetryPolicy {
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
		r.addNode(limit, at.key("max_delay"), "", "max_delay (%s) is shorter than delay (%s)", limit.Value, delay.Value)
		p.MaxDelay = p.Delay
	case delay != nil:
		p.MaxDelay = p.Delay
	default:
		p.Delay = p.MaxDelay
	}
	return p
}

func (r *reporter) jitter(n *yaml.Node, at *place, fallback float64) float64 {
	f, err := strconv.ParseFloat(n.Value, 64)
	if n.Kind != yaml.ScalarNode || n.Tag != "!!int" && n.Tag != "!!float" || err != nil {
		r.addNode(n, at, jitterHint, "jitter must be a number, and is %s", describe(n))
		return fallback
	}
	if !(f >= 0 && f <= 1) {
		r.addNode(n, at, jitterHint, "jitter is %s", n.Value)
		return fallback
	}
	return f
}

func (r *reporter) errorKinds(n *yaml.Node, at *place) []tasks.ErrorKind {
	var out []tasks.ErrorKind
	for i, s := range r.texts(n, at, "permanent_errors") {
		kind := tasks.ErrorKind(s)
		if s != "" && !known(kind, tasks.ErrorKinds()) {
			entry := child(n, at.at(i))
			r.addNode(entry, at.at(i), r.suggest(s, names(tasks.ErrorKinds())), "unknown kind of error %q", s)
			continue
		}
		out = append(out, kind)
	}
	return out
}

// choice reads one value of a closed set; it gives fallback after reporting a mistake.
func choice[S ~string](r *reporter, n *yaml.Node, at *place, what string, allowed []S, fallback S) S {
	s := r.text(n, at, what)
	if s == "" {
		return fallback
	}
	if !known(S(s), allowed) {
		r.addNode(n, at, r.suggest(s, names(allowed)), "unknown %s %q", what, s)
		return fallback
	}
	return S(s)
}
