package app

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

func (c *cli) startCommand() *cobra.Command {
	var input inputFlags
	var labels map[string]string
	var key string
	number := 1
	cmd := &cobra.Command{
		Use:   "start NAME|FILE",
		Short: "Enqueue a run (or many) for the workers; prints the ids",
		Example: `  sluice start nightly-report --set day=2026-11-21
  sluice start wordcount --count 1000`,
		Args: arguments(1, 1, "the name of a pipeline or a file"),
	}
	input.add(cmd)
	labelFlag(cmd, &labels,
		"mark the run with the label `NAME=VALUE`; may be repeated, and wins over the pipeline's labels")
	cmd.Flags().Var(&count{&number, 1}, "count", "start `N` runs")
	cmd.Flags().StringVar(&key, "idempotency-key", "",
		"a second start of the pipeline with the same `KEY` and input finds the first run; with another input it "+
			"fails with exit code 5")
	format := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if key != "" && number > 1 {
			return usagef("--idempotency-key names one run: it does not go with --count %d", number)
		}
		return with(cmd.Context(), c, func(ctx context.Context, n Sources) error {
			def, err := n.definition(ctx, c.stdin, args[0])
			if err != nil {
				return err
			}
			c.warn(def.Warnings())
			raw, err := input.resolve(ctx, def, c.stdin)
			if err != nil {
				return err
			}
			requests := make([]engine.StartRequest, number)
			for i := range requests {
				requests[i] = engine.StartRequest{
					Definition: def, Input: raw, IdempotencyKey: key,
					ThisDefinition: isFile(args[0]), Labels: labels, Actor: actor(),
				}
			}
			started, err := n.Engine.Start(ctx, requests)
			if err != nil && len(started) == 0 {
				return err
			}
			if printing := c.printStarted(started, key, *format); err == nil {
				return printing
			}
			return fmt.Errorf("%d of %d runs were started: %w", len(started), number, err)
		})
	}
	return cmd
}

type startDocument struct {
	IDs      []dbtype.ID `json:"ids"`
	Existing bool        `json:"existing"` // an earlier start with the idempotency key had started it
}

func (c *cli) printStarted(started []engine.StartResult, key, format string) error {
	doc := startDocument{IDs: []dbtype.ID{}}
	for _, s := range started {
		doc.IDs = append(doc.IDs, s.ID)
		doc.Existing = doc.Existing || s.Existing
	}
	if doc.Existing {
		fmt.Fprintf(c.stderr, "the key %q had started this run before\n", key)
	}
	if format == formatJSON {
		return printJSON(c.stdout, doc)
	}
	for _, id := range doc.IDs {
		fmt.Fprintln(c.stdout, id)
	}
	return nil
}
