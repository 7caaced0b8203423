package app

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

const (
	configFlag    = "config"
	defaultConfig = "sluice.config.yaml"
)

// notFromEnvironment are flags whose variables mean something else: a shell task finds its files under these names.
var notFromEnvironment = map[string]bool{"input": true, "output": true}

// applySettings gives each flag that the command line does not set its value from the environment, else from the configuration
// file. Values for flags of other commands are checked too, so that a mistake shows at once.
func (c *cli) applySettings(cmd *cobra.Command) error {
	if err := fromEnvironment(cmd); err != nil {
		return err
	}
	path := c.config
	if path == "" {
		path = defaultConfig
	}
	src, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && c.config == "" {
		return nil
	}
	if err != nil {
		return fileError(err)
	}
	return fromFile(cmd, path, src)
}

func variable(flag string) string {
	return "SLUICE_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

func fromEnvironment(cmd *cobra.Command) error {
	var failure error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		value := os.Getenv(variable(f.Name))
		if failure != nil || f.Changed || value == "" || notFromEnvironment[f.Name] || isHelp(f) {
			return
		}
		if err := f.Value.Set(value); err != nil {
			failure = usagef("%s: %q: %w", variable(f.Name), value, explain(f, err))
		}
		f.Changed = true
	})
	return failure
}

// isHelp tells the flags that are no settings.
func isHelp(f *pflag.Flag) bool {
	return f.Name == "help" || f.Name == "version" && f.Value.Type() == "bool"
}

// explain says what a flag takes, where the package of flags says only what a Go function made of it.
func explain(f *pflag.Flag, err error) error {
	if f.Value.Type() == "bool" {
		return errors.New("expected true or false")
	}
	return err
}

func fromFile(cmd *cobra.Command, path string, src []byte) error {
	var doc yaml.Node
	if err := yaml.Unmarshal(src, &doc); err != nil {
		return usagef("%s: this is not YAML: %s", path, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if len(doc.Content) == 0 {
		return nil
	}
	settings := doc.Content[0]
	if settings.Kind != yaml.MappingNode {
		return usagef("%s:%d:%d: expected settings as `key: value`", path, settings.Line, settings.Column)
	}
	flags := allFlags(cmd)
	seen := map[string]bool{}
	for i := 0; i < len(settings.Content); i += 2 {
		key, value := settings.Content[i], settings.Content[i+1]
		at := func(n *yaml.Node) string { return fmt.Sprintf("%s:%d:%d", path, n.Line, n.Column) }
		switch {
		case seen[key.Value]:
			return usagef("%s: %q is set twice", at(key), key.Value)
		case len(flags[key.Value]) == 0:
			known := slices.Sorted(maps.Keys(flags)) // in order, so that of two as near the same is named each time
			return withHint(usagef("%s: there is no setting %q", at(key), key.Value), didYouMean(key.Value, known, "the settings are the flags of the commands"))
		}
		seen[key.Value] = true
		for _, f := range flags[key.Value] {
			if err := setFrom(f, value); err != nil {
				return usagef("%s: %s: %w", at(value), key.Value, err)
			}
		}
	}
	return nil
}

// setFrom sets a flag that nothing of higher rank has set: from one value, or, where the flag may be repeated, from a list.
func setFrom(f *pflag.Flag, value *yaml.Node) error {
	values := []*yaml.Node{value}
	if _, repeatable := f.Value.(pflag.SliceValue); repeatable && value.Kind == yaml.SequenceNode {
		values = value.Content
	}
	for _, v := range values {
		if v.Kind != yaml.ScalarNode {
			return errors.New("expected one value")
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

// allFlags are the settings of all commands by name; several commands may have one of the same name.
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
