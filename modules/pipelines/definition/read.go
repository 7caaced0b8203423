package definition

import (
	"maps"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/sluiceworks/sluice/modules/pipelines/definition/yamlfile"
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

// reader reads the nodes of a pipeline's file.
type reader struct{ *yamlfile.Decoder }

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
func (r reader) pipeline(root *yaml.Node) (*Definition, bool) {
	if root.Kind != yaml.MappingNode {
		r.AddAt(root, nil, "a pipeline has a name and tasks", "the file must hold a mapping, and holds %s",
			yamlfile.Describe(root))
		return nil, false
	}
	d := &Definition{}
	inherited := settings{
		retry: tasks.DefaultRetryPolicy(), timeout: DefaultTimeout, queue: tasks.DefaultQueue,
		priority: tasks.Normal,
	}
	var list *yaml.Node
	for _, p := range r.Mapping(yamlfile.WithoutExtensions(root), nil, "the pipeline", pipelineKeys) {
		at := yamlfile.Key(p.Name)
		switch p.Name {
		case "name":
			d.Name = r.Text(p.Value, at, "name")
		case "description":
			d.Description = r.Text(p.Value, at, "description")
		case "labels":
			d.Labels = r.labels(p.Value, at)
		case "input":
			d.Input = r.fields(p.Value, at)
		case "defaults":
			inherited = r.defaults(p.Value, at, inherited)
		case "retention":
			d.Retention = r.retention(p.Value, at)
		case "timeout":
			d.Timeout = r.Duration(p.Value, at, "timeout", 0)
		case "tasks":
			list = p.Value // read last, because defaults may follow
		}
	}
	if list != nil {
		d.Tasks = r.tasks(list, yamlfile.Key("tasks"), inherited)
	}
	return d, r.Grow(0)
}

func (r reader) fields(n *yaml.Node, at *yamlfile.Path) []InputField {
	var out []InputField
	for _, p := range r.Mapping(n, at, "input", nil) {
		out = append(out, r.field(p, at.Key(p.Name)))
	}
	return out
}

// field reads a mapping with fieldKeys, a type alone, or an empty value, which means any.
func (r reader) field(p yamlfile.Entry, at *yamlfile.Path) InputField {
	f := InputField{Name: p.Name}
	if p.Value.Kind == yaml.ScalarNode {
		if p.Value.Tag != "!!null" {
			if f.Type = r.Text(p.Value, at.Key("type"), "the type of "+p.Name); f.Type != "" &&
				!known(f.Type, fieldTypes) {
				r.AddAt(p.Value, at.Key("type"), r.Suggest(f.Type, fieldTypes), "unknown type %q", f.Type)
			}
		}
		return f
	}
	for _, q := range r.Mapping(p.Value, at, "the input field "+p.Name, fieldKeys) {
		at := at.Key(q.Name)
		switch q.Name {
		case "type":
			f.Type = r.Text(q.Value, at, "type")
		case "required":
			f.Required = r.Flag(q.Value, at, "required")
		case "description":
			f.Description = r.Text(q.Value, at, "description")
		case "default":
			f.Default = jsonvalue.MustEncode(r.Value(q.Value, at))
		case "choices":
			f.Choices = r.choices(q.Value, at)
		case "min":
			f.Min = r.Number(q.Value, at, q.Name)
		case "max":
			f.Max = r.Number(q.Value, at, q.Name)
		case "pattern":
			f.Pattern = r.Text(q.Value, at, "pattern")
		}
	}
	return f
}

func (r reader) defaults(n *yaml.Node, at *yamlfile.Path, s settings) settings {
	for _, p := range r.Mapping(n, at, "defaults", slices.Concat(defaultsKeys, commandKeys)) {
		at := at.Key(p.Name)
		switch p.Name {
		case "retry":
			s.retry = r.retry(p.Value, at, s.retry)
		case "timeout":
			s.timeout = r.Duration(p.Value, at, "timeout", s.timeout)
		case "env":
			s.env = r.env(p.Value, at, nil)
		case "queue":
			s.queue = r.Text(p.Value, at, "queue")
		case "priority":
			s.priority = choice(r, p.Value, at, "priority", tasks.Priorities(), s.priority)
		default:
			r.command(&s.command, p, at)
		}
	}
	return s
}

func (r reader) tasks(n *yaml.Node, at *yamlfile.Path, inherited settings) []Task {
	if n.Kind != yaml.SequenceNode {
		r.AddAt(n, at, "begin each task with - id:", "tasks must be a list, and is %s", yamlfile.Describe(n))
		return nil
	}
	if len(n.Content) > MaxTasks {
		r.AddAt(n, at, "", "%d tasks are more than the limit of %d", len(n.Content), MaxTasks)
		return nil
	}
	out := make([]Task, len(n.Content))
	for i, c := range n.Content {
		if !r.inherit(inherited) {
			return nil
		}
		out[i] = r.task(c, at.Item(i), inherited)
	}
	return out
}

func (r reader) task(n *yaml.Node, at *yamlfile.Path, inherited settings) Task {
	t := Task{
		Retry: inherited.retry, Timeout: inherited.timeout, Env: inherited.env,
		Queue: inherited.queue, Priority: inherited.priority,
	}
	for _, p := range r.Mapping(n, at, "the task", allTaskKeys) {
		at := at.Key(p.Name)
		switch p.Name {
		case "id":
			t.ID = r.Text(p.Value, at, "id")
		case "description":
			t.Description = r.Text(p.Value, at, "description")
		case "needs":
			t.Needs = r.Texts(p.Value, at, "needs")
		case "uses":
			t.Uses = r.Text(p.Value, at, "uses")
		case "with":
			t.With = r.with(p.Value, at)
		case "run":
			t.Run = r.Text(p.Value, at, "run")
		case "env":
			t.Env = r.env(p.Value, at, maps.Clone(inherited.env))
		case "if":
			t.If = r.AnyText(p.Value, at, "if")
		case "trigger_rule":
			t.TriggerRule = TriggerRule(r.Text(p.Value, at, "trigger_rule"))
		case "continue_on_error":
			t.ContinueOnError = r.Flag(p.Value, at, "continue_on_error")
		case "timeout":
			t.Timeout = r.Duration(p.Value, at, "timeout", t.Timeout)
		case "retry":
			t.Retry = r.retry(p.Value, at, t.Retry)
		case "queue":
			t.Queue = r.Text(p.Value, at, "queue")
		case "priority":
			t.Priority = choice(r, p.Value, at, "priority", tasks.Priorities(), t.Priority)
		default:
			r.command(&t.Command, p, at)
		}
	}
	if t.Run != "" {
		t.inherit(&inherited.command)
	}
	return t
}

func (r reader) with(n *yaml.Node, at *yamlfile.Path) []byte {
	if n.Kind != yaml.MappingNode {
		r.AddAt(n, at, "", "with must be a mapping, and is %s", yamlfile.Describe(n))
		return nil
	}
	return jsonvalue.MustEncode(r.Value(n, at))
}

// env reads variables into over, which contains the inherited ones.
func (r reader) env(n *yaml.Node, at *yamlfile.Path, over map[string]string) map[string]string {
	if over == nil {
		over = map[string]string{}
	}
	for _, p := range r.Mapping(n, at, "env", nil) {
		over[p.Name] = r.AnyText(p.Value, at.Key(p.Name), p.Name)
	}
	return over
}
