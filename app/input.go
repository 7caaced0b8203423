package app

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/sluiceworks/sluice/modules/pipelines/definition"
)

// inputFlags are how a command takes a run's input.
type inputFlags struct {
	input string
	set   []string
	base  json.RawMessage // the document when --input is not given; nil: none
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
		return f.base, nil
	case isFile && path == "-":
		raw, err = io.ReadAll(stdin)
	case isFile:
		raw, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, fileError(err)
	}
	if raw = bytes.TrimSpace(bytes.TrimPrefix(raw, []byte("\ufeff"))); !json.Valid(raw) {
		return nil, withHint(usagef("--input: this is no JSON"), `write --input '{"key": "value"}', or --input @FILE, or --set key=value`)
	}
	return raw, nil
}

// fieldValue reads a value: what is declared to be a string is taken as it stands; else what is exactly JSON is that JSON, its numbers
// digit for digit, and anything else is text.
func fieldValue(def *definition.Definition, key, value string) (json.RawMessage, error) {
	i := slices.IndexFunc(def.Input, func(f definition.InputField) bool { return f.Name == key })
	isText := i >= 0 && def.Input[i].Type == definition.TypeString
	if !isText && json.Valid([]byte(value)) && strings.TrimSpace(value) == value {
		return json.RawMessage(value), nil
	}
	if !utf8.ValidString(value) {
		return nil, errors.New("it is not valid UTF-8")
	}
	return json.Marshal(value)
}
