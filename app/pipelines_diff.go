package app

import (
	"context"
	"fmt"
	"strings"

	"github.com/pmezard/go-difflib/difflib"
	"github.com/spf13/cobra"
)

// definitionDiff is how two versions of a pipeline differ.
type definitionDiff struct {
	Pipeline string `json:"pipeline"`
	From     string `json:"from"`
	To       string `json:"to"`
	Same     bool   `json:"same"`
	Diff     string `json:"diff"` // between the definitions as YAML, in the unified format
}

func (c *cli) pipelinesDiffCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "diff NAME VERSION [VERSION]",
		Short: "Show how two versions of a pipeline differ",
		Long: `Shows how the second version differs from the first, as a unified diff of the definitions as YAML. The
second is the current version unless another is named. A version is named by the beginning of its hash;
` + "`sluice pipelines show NAME`" + ` lists them.`,
		Example: `  sluice pipelines diff orders 3fa9
  sluice pipelines diff orders 3fa9 81c0 -o json`,
		Args: arguments(2, 3, "the name of a pipeline and one or two versions"),
	}
	format := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return with(cmd.Context(), c, func(ctx context.Context, s Sources) error {
			second := ""
			if len(args) == 3 {
				second = args[2]
			}
			d, err := s.compare(ctx, args[0], args[1], second)
			switch {
			case err != nil:
				return err
			case *format == formatJSON:
				return printJSON(c.stdout, d)
			case d.Same:
				fmt.Fprintln(c.stderr, "the versions are the same")
				return nil
			}
			fmt.Fprint(c.stdout, d.Diff)
			return nil
		})
	}
	return cmd
}

func (s Sources) compare(ctx context.Context, name, first, second string) (definitionDiff, error) {
	d := definitionDiff{Pipeline: name}
	a, err := s.stored(ctx, name, first)
	if err != nil {
		return d, err
	}
	b, err := s.stored(ctx, name, second)
	if err != nil {
		return d, err
	}
	d.From, d.To, d.Same = a.Version, b.Version, a.Version == b.Version
	before, err := a.def.YAML()
	if err != nil {
		return d, err
	}
	after, err := b.def.YAML()
	if err != nil {
		return d, err
	}
	d.Diff, err = difflib.GetUnifiedDiffString(difflib.UnifiedDiff{
		A: difflib.SplitLines(string(before)), B: difflib.SplitLines(string(after)), FromFile: name + " " +
			a.Version, ToFile: name + " " + b.Version, Context: 3,
	})
	return d, err
}

// allowed describes the values that a field accepts.
func (v inputView) allowed() string {
	var words []string
	for _, c := range v.Choices {
		words = append(words, string(c))
	}
	text := strings.Join(words, ", ")
	for _, bound := range []struct{ word, value string }{
		{"from ", string(v.Min)},
		{"to ", string(v.Max)},
		{"matching ", string(v.Pattern)},
	} {
		if bound.value != "" {
			text = strings.TrimSpace(text + " " + bound.word + bound.value)
		}
	}
	return text
}
