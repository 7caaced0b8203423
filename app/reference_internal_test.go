package app

import (
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sluiceworks/sluice/platform/terminal"
)

var update = flag.Bool("update", false, "write the reference instead of comparing it")

const referenceColumns = 120

func reference() *cobra.Command {
	c := &cli{stdin: strings.NewReader(""), stdout: terminal.New(io.Discard), stderr: terminal.New(io.Discard)}
	root := c.rootCommand()
	root.InitDefaultHelpCmd()
	return root
}

// CompareReference compares a file of docs with the generated text, or writes it. ignore removes from both what may
// differ; it may be nil.
func CompareReference(t *testing.T, path, want string, ignore *strings.Replacer) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if ignore == nil {
		ignore = strings.NewReplacer()
	}
	if diff := cmp.Diff(ignore.Replace(want), ignore.Replace(string(have))); diff != "" {
		t.Errorf("%s differs (-program +page): run go test ./app -run Reference -update\n%s", path, diff)
	}
}

// TestCommandReference checks that docs/cli.md is the help of all commands.
func TestCommandReference(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	root := reference()
	fmt.Fprintf(&b, "# Commands\n\n<!-- Written by go test ./app -run Reference -update. -->\n\n%s\n\nFlags of every "+
		"command:\n\n```\n%s```\n",
		root.Long, root.PersistentFlags().FlagUsagesWrapped(referenceColumns))
	describeCommands(&b, root)
	CompareReference(t, "../docs/cli.md", b.String(), nil)
}

func describeCommands(b *strings.Builder, parent *cobra.Command) {
	for _, cmd := range parent.Commands() {
		if cmd.Hidden || cmd.Name() == "help" || parent.Name() == "completion" {
			continue
		}
		long := cmd.Long
		if long == "" {
			long = cmd.Short + "."
		}
		fmt.Fprintf(b, "\n## %s\n\n%s\n\n```\n%s\n```\n", cmd.CommandPath(), long, cmd.UseLine())
		if flags := cmd.LocalFlags(); flags.HasAvailableFlags() {
			fmt.Fprintf(b, "\n```\n%s```\n", flags.FlagUsagesWrapped(referenceColumns))
		}
		if cmd.Example != "" {
			fmt.Fprintf(b, "\nFor example:\n\n```\n%s\n```\n",
				strings.ReplaceAll(strings.TrimPrefix(cmd.Example, "  "), "\n  ", "\n"))
		}
		describeCommands(b, cmd)
	}
}

// TestConfigurationReference checks that docs/sluice.config.yaml has each setting of a server with its default, and
// that the program accepts the file.
func TestConfigurationReference(t *testing.T) {
	t.Parallel()
	root := reference()
	serve, _, err := root.Find([]string{"serve"})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("# Settings of a sluice server, with their defaults: copy it to sluice.config.yaml in the server's " +
		"working directory, or name it by --config.\n" +
		"# The flags of the other commands are settings, too. A flag wins over its environment variable, and that " +
		"over this file.\n" +
		"# Written by go test ./app -run Reference -update.\n")
	describeSettings(&b, root.PersistentFlags())
	describeSettings(&b, serve.LocalNonPersistentFlags())
	CompareReference(t, "../docs/sluice.config.yaml", b.String(), nil)

	var settings strings.Builder
	for line := range strings.Lines(b.String()) {
		if setting, ok := strings.CutPrefix(line, "#"); ok && !strings.HasPrefix(setting, " ") &&
			!strings.Contains(setting, ": null") {
			settings.WriteString(setting)
		}
	}
	if err := fromFile(serve, "sluice.config.yaml", []byte(settings.String())); err != nil {
		t.Errorf("%v in\n%s", err, &settings)
	}
}

// describeSettings writes each flag as a commented-out setting below its description.
func describeSettings(b *strings.Builder, flags *pflag.FlagSet) {
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" || f.Name == configFlag {
			return
		}
		_, usage := pflag.UnquoteUsage(f)
		value := f.DefValue
		if value == "" || value == "[]" || value == "0s" {
			value = "null"
		}
		fmt.Fprintf(b, "\n# %s: %s\n#%s: %s\n", variable(f.Name), usage, f.Name, value)
	})
}
