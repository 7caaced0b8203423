package app

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/platform/suggest"
)

const (
	configFlag    = "config"
	defaultConfig = "sluice.config.yaml"
)

// notFromEnvironment are flags whose variables have another meaning: shell tasks find their files under these names.
var notFromEnvironment = map[string]bool{"input": true, "output": true}

// applySettings sets each flag that is not on the command line from the environment, or else from the configuration
// file. It also checks values for flags of other commands, so that a mistake is reported immediately.
func (c *cli) applySettings(cmd *cobra.Command) error {
	if err := fromEnvironment(cmd); err != nil {
		return err
	}
	path := c.config
	if path == "" {
		path = defaultConfig
	}
	src, err := readText(cmd.Context(), path, c.stdin, definition.MaxFile)
	if errors.Is(err, fs.ErrNotExist) && c.config == "" {
		return nil
	}
	if err != nil {
		return err
	}
	return fromFile(cmd, path, src)
}

func variable(flag string) string {
	return "SLUICE_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

func fromEnvironment(cmd *cobra.Command) error {
	var failure error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if failure != nil || notFromEnvironment[f.Name] || isHelp(f) {
			return
		}
		for _, name := range namesOfFlag(f.Name) {
			value := os.Getenv(variable(name))
			if f.Changed || value == "" {
				continue
			}
			if err := f.Value.Set(value); err != nil {
				failure = usagef("%s: %q: %w", variable(name), value, explain(f, err))
			}
			f.Changed = true
		}
	})
	return failure
}

// isHelp reports whether a flag is not a setting.
func isHelp(f *pflag.Flag) bool {
	return f.Name == "help" || f.Name == "version" && f.Value.Type() == "bool"
}

// explain replaces the error of a Boolean flag, which would only name a Go function, with what the flag accepts.
func explain(f *pflag.Flag, err error) error {
	if f.Value.Type() == "bool" {
		return errors.New("expected true or false")
	}
	return err
}

func fromFile(cmd *cobra.Command, path string, src []byte) error {
	settings, err := settingsNode(path, src)
	if settings == nil || err != nil {
		return err
	}
	flags := allFlags(cmd)
	seen := map[string]bool{}
	for i := 0; i < len(settings.Content); i += 2 {
		key, value := settings.Content[i], settings.Content[i+1]
		if value.Kind == yaml.AliasNode {
			value = value.Alias
		}
		name := currentFlag(key.Value)
		at := func(n *yaml.Node) string { return fmt.Sprintf("%s:%d:%d", path, n.Line, n.Column) }
		switch {
		case seen[name]:
			return usagef("%s: %q is set twice", at(key), key.Value)
		case len(flags[name]) == 0:
			return withHint(usagef("%s: unknown setting %q", at(key), key.Value),
				similarSetting(key.Value, slices.Sorted(maps.Keys(flags))))
		}
		seen[name] = true
		for _, f := range flags[name] {
			if err := setFrom(f, value); err != nil {
				return usagef("%s: %s: %w", at(value), key.Value, err)
			}
		}
	}
	return nil
}

// settingsNode returns the file's only document, or nil if it has no settings.
func settingsNode(path string, src []byte) (*yaml.Node, error) {
	if !utf8.Valid(src) {
		return nil, withHint(usagef("%s: this is not valid UTF-8", path), "save the file as UTF-8")
	}
	decoder := yaml.NewDecoder(bytes.NewReader(src))
	var doc, second yaml.Node
	err := decoder.Decode(&doc)
	if err == nil {
		if err = decoder.Decode(&second); err == nil {
			return nil, usagef("%s:%d:%d: a second document begins here: the settings are one", path, second.Line,
				second.Column)
		}
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, usagef("%s: this is not YAML: %s", path, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if len(doc.Content) == 0 || doc.Content[0].Tag == "!!null" {
		return nil, nil
	}
	if settings := doc.Content[0]; settings.Kind == yaml.MappingNode {
		return settings, nil
	}
	return nil, usagef("%s:%d:%d: expected settings as `key: value`", path, doc.Content[0].Line, doc.Content[0].Column)
}

// similarSetting returns the hint for an unknown setting.
func similarSetting(name string, known []string) string {
	if best := suggest.Nearest(name, known); best != "" {
		return suggest.DidYouMean(best)
	}
	return "the settings are the flags of the commands, without the dashes in front"
}

// setFrom sets a flag that nothing of higher precedence has set, from one value, or from a list if the flag may be
// repeated.
func setFrom(f *pflag.Flag, value *yaml.Node) error {
	values := []*yaml.Node{value}
	if _, repeatable := f.Value.(pflag.SliceValue); repeatable && value.Kind == yaml.SequenceNode {
		values = value.Content
	}
	for _, v := range values {
		if v.Kind != yaml.ScalarNode {
			return errors.New("expected one value")
		}
		if v.Style&yaml.TaggedStyle != 0 {
			return fmt.Errorf("tags (%s) are not supported", v.Tag)
		}
	}
	if f.Changed {
		return nil
	}
	for _, v := range values {
		if err := f.Value.Set(v.Value); err != nil {
			return fmt.Errorf("%q: %w", v.Value, explain(f, err))
		}
	}
	f.Changed = true
	return nil
}

// allFlags returns the settings of all commands by name. Several commands may have a flag of the same name.
func allFlags(cmd *cobra.Command) map[string][]*pflag.Flag {
	all := map[string][]*pflag.Flag{}
	add := func(f *pflag.Flag) {
		if !isHelp(f) && f.Name != configFlag {
			all[f.Name] = append(all[f.Name], f)
		}
	}
	cmd.Root().PersistentFlags().VisitAll(add)
	for _, sub := range cmd.Root().Commands() {
		sub.LocalNonPersistentFlags().VisitAll(add)
		for _, inner := range sub.Commands() {
			inner.LocalNonPersistentFlags().VisitAll(add)
		}
	}
	return all
}
