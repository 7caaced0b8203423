package definition

import (
	"maps"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/jsonvalue"
)

var (
	pipelineKeys = []string{"name", "description", "labels", "input", "defaults", "tasks", "retention", "timeout"}
	fieldKeys    = []string{"type", "required", "default", "description", "choices", "min", "max", "pattern"}
	defaultsKeys = []string{"retry", "timeout", "env", "queue", "priority"}
	taskKeys     = []string{
		"id", "description", "needs", "uses", "with", "run", "env", "if", "trigger_rule", "continue_on_error",
		"timeout", "retry", "queue", "priority",
	}
	retainKeys = []string{"events", "outputs", "logs", "executions"}
	retryKeys  = []string{"max_attempts", "backoff", "delay", "max_delay", "jitter", "permanent_errors"}
)

// settings are the defaults that tasks inherit.
type settings struct {
	retry   tasks.RetryPolicy
	timeout time.Duration
	env     map[string]string

	queue    string
	priority tasks.Priority
	command  Command
}

// pipeline reads the document. It reports mistakes and leaves their fields at the zero value or the default.
func (r *decoder) pipeline(root *yaml.Node) (*Definition, bool) {
	if root.Kind != yaml.MappingNode {
		r.addAt(root, nil, "a pipeline has a name and tasks", "the file must hold a mapping, and holds %s",
			describe(root))
		return nil, false
	}
	d := &Definition{}
	inherited := settings{
		retry: tasks.DefaultRetryPolicy(), timeout: DefaultTimeout, queue: tasks.DefaultQueue,
		priority: tasks.Normal,
	}
	var list *yaml.Node
	for _, p := range r.mapping(withoutExtensions(root), nil, "the pipeline", pipelineKeys) {
		at := (*keyPath)(nil).key(p.name)
		switch p.name {
		case "name":
			d.Name = r.text(p.value, at, "name")
		case "description":
			d.Description = r.text(p.value, at, "description")
		case "labels":
			d.Labels = r.labels(p.value, at)
		case "input":
			d.Input = r.fields(p.value, at)
		case "defaults":
			inherited = r.defaults(p.value, at, inherited)
		case "retention":
			d.Retention = r.retention(p.value, at)
		case "timeout":
			d.Timeout = r.duration(p.value, at, "timeout", 0)
		case "tasks":
			list = p.value // read last, because defaults may follow
		}
	}
	if list != nil {
		d.Tasks = r.tasks(list, (*keyPath)(nil).key("tasks"), inherited)
	}
	return d, r.expanded <= maxExpanded
}

func (r *decoder) fields(n *yaml.Node, at *keyPath) []InputField {
	var out []InputField
	for _, p := range r.mapping(n, at, "input", nil) {
		out = append(out, r.field(p, at.key(p.name)))
	}
	return out
}

// field reads a mapping with fieldKeys, a type alone, or an empty value, which means any.
func (r *decoder) field(p pair, at *keyPath) InputField {
	f := InputField{Name: p.name}
	if p.value.Kind == yaml.ScalarNode {
		if p.value.Tag != "!!null" {
			if f.Type = r.text(p.value, at.key("type"), "the type of "+p.name); f.Type != "" &&
				!known(f.Type, fieldTypes) {
				r.addAt(p.value, at.key("type"), r.suggest(f.Type, fieldTypes), "unknown type %q", f.Type)
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
			f.Default = jsonvalue.MustEncode(r.value(q.value, at))
		case "choices":
			f.Choices = r.choices(q.value, at)
		case "min":
			f.Min = r.number(q.value, at, q.name)
		case "max":
			f.Max = r.number(q.value, at, q.name)
		case "pattern":
			f.Pattern = r.text(q.value, at, "pattern")
		}
	}
	return f
}

func (r *decoder) defaults(n *yaml.Node, at *keyPath, s settings) settings {
	for _, p := range r.mapping(n, at, "defaults", slices.Concat(defaultsKeys, commandKeys)) {
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
		default:
			r.command(&s.command, p, at)
		}
	}
	return s
}

func (r *decoder) tasks(n *yaml.Node, at *keyPath, inherited settings) []Task {
	if n.Kind != yaml.SequenceNode {
		r.addAt(n, at, "begin each task with - id:", "tasks must be a list, and is %s", describe(n))
		return nil
	}
	if len(n.Content) > MaxTasks {
		r.addAt(n, at, "", "%d tasks are more than the limit of %d", len(n.Content), MaxTasks)
		return nil
	}
	out := make([]Task, len(n.Content))
	for i, c := range n.Content {
		if !r.inherit(inherited) {
			return nil
		}
		out[i] = r.task(c, at.at(i), inherited)
	}
	return out
}

func (r *decoder) task(n *yaml.Node, at *keyPath, inherited settings) Task {
	t := Task{
		Retry: inherited.retry, Timeout: inherited.timeout, Env: inherited.env,
		Queue: inherited.queue, Priority: inherited.priority,
	}
	for _, p := range r.mapping(n, at, "the task", allTaskKeys) {
		at := at.key(p.name)
		switch p.name {
		case "id":
			t.ID = r.text(p.value, at, "id")
		case "description":
			t.Description = r.text(p.value, at, "description")
		case "needs":
			t.Needs = r.texts(p.value, at, "needs")
		case "uses":
			t.Uses = r.text(p.value, at, "uses")
		case "with":
			t.With = r.with(p.value, at)
		case "run":
			t.Run = r.text(p.value, at, "run")
		case "env":
			t.Env = r.env(p.value, at, maps.Clone(inherited.env))
		case "if":
			t.If = r.anyText(p.value, at, "if")
		case "trigger_rule":
			t.TriggerRule = TriggerRule(r.text(p.value, at, "trigger_rule"))
		case "continue_on_error":
			t.ContinueOnError = r.flag(p.value, at, "continue_on_error")
		case "timeout":
			t.Timeout = r.duration(p.value, at, "timeout", t.Timeout)
		case "retry":
			t.Retry = r.retry(p.value, at, t.Retry)
		case "queue":
			t.Queue = r.text(p.value, at, "queue")
		case "priority":
			t.Priority = choice(r, p.value, at, "priority", tasks.Priorities(), t.Priority)
		default:
			r.command(&t.Command, p, at)
		}
	}
	if t.Run != "" {
		t.inherit(&inherited.command)
	}
	return t
}

func (r *decoder) with(n *yaml.Node, at *keyPath) []byte {
	if n.Kind != yaml.MappingNode {
		r.addAt(n, at, "", "with must be a mapping, and is %s", describe(n))
		return nil
	}
	return jsonvalue.MustEncode(r.value(n, at))
}

// texts reads a list of texts or a single text.
func (r *decoder) texts(n *yaml.Node, at *keyPath, what string) []string {
	if n.Kind == yaml.ScalarNode {
		if s := r.text(n, at, what); s != "" {
			return []string{s}
		}
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		r.addAt(n, at, "", "%s must be a list, and is %s", what, describe(n))
		return nil
	}
	out := make([]string, len(n.Content))
	for i, c := range n.Content {
		out[i] = r.text(c, at.at(i), "an entry of "+what)
	}
	return out
}

// env reads variables into over, which contains the inherited ones.
func (r *decoder) env(n *yaml.Node, at *keyPath, over map[string]string) map[string]string {
	if over == nil {
		over = map[string]string{}
	}
	for _, p := range r.mapping(n, at, "env", nil) {
		over[p.name] = r.anyText(p.value, at.key(p.name), p.name)
	}
	return over
}
