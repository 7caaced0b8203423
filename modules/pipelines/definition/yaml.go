package definition

import (
	"fmt"
	"reflect"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/sluiceworks/sluice/modules/pipelines/definition/yamlfile"
	"github.com/sluiceworks/sluice/modules/tasks"
)

// YAML returns the definition as a file that Parse reads as the same version. Defaults and inherited settings cannot
// be distinguished: settings equal to Parse's defaults are left out, and all others are written at each task.
func (d *Definition) YAML() ([]byte, error) {
	doc, _, err := d.Encode()
	if err != nil {
		return nil, err
	}
	root, err := yamlfile.FromJSON(doc)
	if err != nil {
		return nil, fmt.Errorf("write the definition as YAML: %w", err)
	}
	for i := 2; i < len(root.Content); i += 2 {
		if root.Content[i].Value == "description" { // moved below the name, where readers expect it
			d := slices.Clone(root.Content[i : i+2])
			root.Content = slices.Insert(slices.Delete(root.Content, i, i+2), 2, d...)
		}
	}
	durations(root, []string{"timeout"})
	rewrite(root, "retention", func(n *yaml.Node) { durations(n, retainKeys) })
	rewrite(root, "input", inputMapping)
	rewrite(root, "tasks", func(list *yaml.Node) {
		for i, n := range list.Content {
			taskMapping(n, &d.Tasks[i])
		}
	})
	text, err := yamlfile.Encode(root)
	if err != nil {
		return nil, fmt.Errorf("write the definition as YAML: %w", err)
	}
	return text, nil
}

// taskMapping converts a task's settings to the form of a file.
func taskMapping(n *yaml.Node, t *Task) {
	var given []*yaml.Node
	for i := 0; i < len(n.Content); i += 2 {
		if !t.isDefault(n.Content[i].Value) {
			given = append(given, n.Content[i], n.Content[i+1])
		}
	}
	n.Content = given
	durations(n, []string{"timeout"})
	rewrite(n, "needs", func(list *yaml.Node) { list.Style = yaml.FlowStyle })
	rewrite(n, "retry", func(r *yaml.Node) { durations(r, []string{"delay", "max_delay"}) })
}

// isDefault reports whether a setting of the task has the value that Parse uses if it is missing.
func (t *Task) isDefault(key string) bool {
	switch key {
	case "timeout":
		return t.Timeout == DefaultTimeout
	case "retry":
		return reflect.DeepEqual(t.Retry, tasks.DefaultRetryPolicy())
	case "queue":
		return t.Queue == tasks.DefaultQueue
	case "priority":
		return t.Priority == tasks.Normal
	case "trigger_rule":
		return t.TriggerRule == AllSuccess
	}
	return false
}

// inputMapping converts a list of fields with names to a mapping from names to fields.
func inputMapping(n *yaml.Node) {
	out := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	for _, f := range n.Content {
		name := f.Content[1] // the name is the first field of InputField
		f.Content = f.Content[2:]
		f.Style = yaml.FlowStyle
		out.Content = append(out.Content, name, f)
	}
	*n = *out
}

// durations converts numbers of nanoseconds to durations.
func durations(n *yaml.Node, keys []string) {
	for i := 0; i < len(n.Content); i += 2 {
		value := n.Content[i+1]
		var ns int64
		if slices.Contains(keys, n.Content[i].Value) && value.Decode(&ns) == nil {
			value.Tag, value.Value = "!!str", time.Duration(ns).String()
		}
	}
}

// rewrite changes the value of a key of a mapping, if the key exists.
func rewrite(n *yaml.Node, key string, change func(*yaml.Node)) {
	for i := 0; i < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			change(n.Content[i+1])
		}
	}
}
