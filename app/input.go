package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/platform/jsonvalue"
)

// inputFlags are the flags for a run's input.
type inputFlags struct {
	input string
	set   []string
	base  json.RawMessage // the document without --input; nil: none
}

func (f *inputFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.input, "input", "",
		"the run's input as `JSON`, or @FILE with it (@- reads standard input)")
	cmd.Flags().StringArrayVar(&f.set, "set", nil,
		"one field of the input as `KEY=VALUE`; may be repeated, and wins over --input")
}

// resolve returns the input, checked against the definition.
func (f *inputFlags) resolve(
	ctx context.Context, def *definition.Definition, stdin io.Reader,
) (json.RawMessage, error) {
	raw, err := f.merged(ctx, def, stdin)
	if err != nil {
		return nil, err
	}
	raw, err = def.CheckInput(raw)
	var problems definition.Diagnostics
	if err != nil && !errors.As(err, &problems) {
		return nil, usageError{err}
	}
	return raw, err
}

// merged adds the fields of --set to the document of --input.
func (f *inputFlags) merged(ctx context.Context, def *definition.Definition, stdin io.Reader) (json.RawMessage, error) {
	raw, err := f.document(ctx, stdin)
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

// document returns the document of --input, after checking that it is one JSON value without duplicate keys.
func (f *inputFlags) document(ctx context.Context, stdin io.Reader) (json.RawMessage, error) {
	path, isFile := strings.CutPrefix(f.input, "@")
	raw, name := []byte(f.input), "--input"
	var err error
	switch {
	case f.input == "":
		return f.base, nil
	case isFile:
		name = path
		if path == "-" {
			name = "standard input"
		}
		raw, err = readText(ctx, path, stdin, maxInputFile)
	}
	if err != nil {
		return nil, err
	}
	raw = bytes.TrimPrefix(raw, []byte("\ufeff"))
	if err = jsonvalue.Check(raw, maxInputFile); err == nil {
		err = jsonvalue.CheckUnique(raw)
	}
	if err != nil {
		return nil, withHint(usagef("%s: %w", name, err),
			`write --input '{"key": "value"}', or --input @FILE, or --set key=value`)
	}
	return bytes.TrimSpace(raw), nil
}

// maxInputFile bounds what is read, with white space. The input itself has at most definition.MaxInput bytes.
const maxInputFile = 8 << 20

// fieldValue converts a value to JSON. If the field is declared as a string, the value is text. Otherwise a value
// that is valid JSON is used unchanged, with all digits of its numbers, and anything else is text.
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
