package app

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/sluiceworks/sluice/modules/pipelines/definition"
)

// inputFlags are how a command takes a run's input.
type inputFlags struct {
	input string
	set   []string
}

func (f *inputFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.input, "input", "", "the run's input as `JSON`, or @FILE with it (@- reads standard input)")
	cmd.Flags().StringArrayVar(&f.set, "set", nil, "one field of the input as `KEY=VALUE`; may be repeated, and wins over --input")
}

// resolve gives the input, checked against the definition.
func (f *inputFlags) resolve(def *definition.Definition, stdin io.Reader) (json.RawMessage, error) {
	raw, err := f.merged(def, stdin)
	if err != nil {
		return nil, err
	}
	raw, err = def.CheckInput(raw)
	var problems definition.Problems
	if err != nil && !errors.As(err, &problems) {
		return nil, usageError{err}
	}
	return raw, err
}

// merged lays the fields of --set over the document of --input.
func (f *inputFlags) merged(def *definition.Definition, stdin io.Reader) (json.RawMessage, error) {
	raw, err := f.document(stdin)
	if err != nil || len(f.set) == 0 {
		return raw, err
	}
	fields := map[string]json.RawMessage{}
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &fields); err != nil {
			return nil, usagef("--input: expected a JSON object, for --set to set fields of")
		}
	}
	for _, s := range f.set {
		key, value, found := strings.Cut(s, "=")
		if !found || key == "" {
			return nil, usagef("--set %q: expected KEY=VALUE", s)
		}
		if fields[key], err = fieldValue(def, key, value); err != nil {
			return nil, usagef("--set %s: %w", key, err)
		}
	}
	return json.Marshal(fields)
}

func (f *inputFlags) document(stdin io.Reader) (json.RawMessage, error) {
	path, isFile := strings.CutPrefix(f.input, "@")
	raw := []byte(f.input)
	var err error
	switch {
	case f.input == "":
		return nil, nil
	case isFile && path == "-":
		raw, err = io.ReadAll(stdin)
	case isFile:
		raw, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, fileError(err)
	}
	if raw = bytes.TrimSpace(raw); !json.Valid(raw) {
		return nil, withHint(usagef("--input: this is no JSON"), `write --input '{"key": "value"}', or --input @FILE, or --set key=value`)
	}
	return raw, nil
}

// fieldValue reads a value by the declared type of its field: a string is taken as it stands, anything else as in YAML.
func fieldValue(def *definition.Definition, key, value string) (json.RawMessage, error) {
	i := slices.IndexFunc(def.Input, func(f definition.InputField) bool { return f.Name == key })
	if i >= 0 && def.Input[i].Type == definition.TypeString {
		return json.Marshal(value)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(value), &doc); err != nil || len(doc.Content) == 0 {
		return json.Marshal(value)
	}
	return toJSON(doc.Content[0])
}

// toJSON writes a YAML value as JSON, numbers digit by digit and dates as the text that they are.
func toJSON(n *yaml.Node) (json.RawMessage, error) {
	switch n.Kind {
	case yaml.ScalarNode:
		plain := n.Tag == "!!bool" || n.Tag == "!!int" || n.Tag == "!!float"
		switch {
		case n.Tag == "!!null":
			return json.RawMessage("null"), nil
		case plain && json.Valid([]byte(n.Value)):
			return json.RawMessage(n.Value), nil
		case n.Tag == "!!bool":
			return json.RawMessage(strings.ToLower(n.Value)), nil
		}
		return json.Marshal(n.Value)
	case yaml.SequenceNode:
		list := make([]json.RawMessage, len(n.Content))
		for i, item := range n.Content {
			var err error
			if list[i], err = toJSON(item); err != nil {
				return nil, err
			}
		}
		return json.Marshal(list)
	case yaml.MappingNode:
		object := map[string]json.RawMessage{}
		for i := 0; i < len(n.Content); i += 2 {
			v, err := toJSON(n.Content[i+1])
			if err != nil {
				return nil, err
			}
			object[n.Content[i].Value] = v
		}
		return json.Marshal(object)
	}
	return nil, errors.New("aliases are not supported")
}
