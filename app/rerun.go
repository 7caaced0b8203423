package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// retryHere adds --run to a command, which then runs the retried execution in this process, as `sluice run` does.
func (c *cli) retryHere(cmd *cobra.Command, from *string) {
	var f workFlags
	var here bool
	cmd.Flags().BoolVar(&here, "run", false,
		"work the execution off in this process, as 'sluice run' does; takes one id")
	f.add(cmd)
	others := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		dry, _ := cmd.Flags().GetBool("dry-run")
		switch {
		case !here || dry:
			return others(cmd, args)
		case len(args) != 1:
			return withHint(usagef("--run works one execution off"),
				"name one id, or leave the executions to `sluice serve` without --run")
		}
		if err := checkIDs(args[0]); err != nil {
			return err
		}
		reason, _ := cmd.Flags().GetString("reason")
		format := cmd.Flags().Lookup("output").Value.String()
		return with(cmd.Context(), c, func(ctx context.Context, n workNeeds) error {
			id, err := resolveID(ctx, n.Executions, args[0])
			if err != nil {
				return err
			}
			list, err := n.Engine.PreviewRetry(ctx, id, *from)
			if err != nil {
				return withHint(err, stateHint(err, id.String()))
			}
			_, def, err := n.pinned(ctx, id)
			if err != nil {
				return err
			}
			fmt.Fprintln(c.stderr, runsAgain(list))
			return c.workOff(ctx, n, f, def, format,
				n.restarting(engine.Orders{IDs: []dbtype.ID{id}, Reason: reason, Actor: actor()}, *from))
		})
	}
}

// pinned returns an execution and the definition that it started with.
func (s Sources) pinned(ctx context.Context, id dbtype.ID) (pipelines.Execution, *definition.Definition, error) {
	x, err := s.Executions.Get(ctx, id)
	if err != nil {
		return x, nil, err
	}
	def, err := s.Engine.StoredDefinition(ctx, x.PipelineName, x.DefinitionVersion)
	return x, def, err
}

// restarting returns the beginning of a retry of one execution.
func (s Sources) restarting(o engine.Orders, from string) beginning {
	return func(ctx context.Context, worker string) (dbtype.ID, error) {
		o.ReservedFor = worker
		results, err := s.Engine.RetryAll(ctx, o, from)
		if err == nil {
			err = results[0]
		}
		return o.IDs[0], withHint(err, stateHint(err, o.IDs[0].String()))
	}
}

// rerunFlags say how the new run differs from the old one.
type rerunFlags struct {
	input  inputFlags
	labels map[string]string
	latest bool
	here   bool
}

func (c *cli) rerunCommand() *cobra.Command {
	var f rerunFlags
	var w workFlags
	cmd := &cobra.Command{
		Use:   "rerun ID",
		Short: "Start a new run with the definition, input and labels of an execution",
		Long: `Starts a new run with the definition, the input and the labels of an execution, whatever became of that,
and prints the new run's id.
The definition is the version that the execution started with, or with --latest-definition the one that
` + "`sluice start NAME`" + ` takes now.
An idempotency key is not taken over. ` + "`sluice retry`" + ` goes on with the same execution instead and keeps what
has completed.`,
		Example: `  sluice rerun latest:orders
  sluice rerun ID --latest-definition --set day=2026-11-21
  sluice rerun ID --run`,
		Args: arguments(1, 1, "the id of an execution"),
	}
	cmd.Flags().StringVar(&f.input.input, "input", "",
		"another input, as `JSON`, or @FILE with it (@- reads standard input)")
	cmd.Flags().StringArrayVar(&f.input.set, "set", nil,
		"another value of one field of the input, as `KEY=VALUE`; may be repeated, and wins over --input")
	labelFlag(cmd, &f.labels,
		"mark the run with the label `NAME=VALUE`; may be repeated, and wins over the execution's labels")
	cmd.Flags().BoolVar(&f.latest, "latest-definition", false,
		"take the pipeline's current definition, not the one that the execution started with")
	cmd.Flags().BoolVar(&f.here, "run", false,
		"work the run off in this process, as 'sluice run' does, instead of leaving it to the workers")
	w.add(cmd)
	format := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := checkIDs(args[0]); err != nil {
			return err
		}
		return with(cmd.Context(), c, func(ctx context.Context, n workNeeds) error {
			id, err := resolveID(ctx, n.Executions, args[0])
			if err != nil {
				return err
			}
			r, err := c.rerun(ctx, n, id, f)
			if err != nil {
				return err
			}
			if f.here {
				return c.workOff(ctx, n, w, r.Definition, *format, n.starting(r))
			}
			started, err := n.Engine.Start(ctx, []engine.StartRequest{r})
			if err != nil {
				return err
			}
			return c.printStarted(started, "", *format)
		})
	}
	return cmd
}

// rerun returns the request for a run like an existing execution.
func (c *cli) rerun(ctx context.Context, n workNeeds, id dbtype.ID, f rerunFlags) (engine.StartRequest, error) {
	x, def, err := n.pinned(ctx, id)
	switch {
	case f.latest && (err == nil || errors.Is(err, pipelines.ErrDefinitionMissing)):
		if def, err = n.current(ctx, x.PipelineName); err != nil {
			return engine.StartRequest{}, err
		}
	case errors.Is(err, pipelines.ErrDefinitionMissing):
		return engine.StartRequest{}, withHint(err, "--latest-definition takes the current one")
	case err != nil:
		return engine.StartRequest{}, err
	}
	if f.input.input == "" {
		f.input.base = []byte(x.Input)
	}
	raw, err := f.input.resolve(ctx, def, c.stdin)
	if err != nil {
		return engine.StartRequest{}, err
	}
	labels := map[string]string{}
	for _, list := range []map[string]string{x.Labels, f.labels} {
		for name, value := range list {
			labels[name] = value
		}
	}
	return engine.StartRequest{Definition: def, Input: raw, Labels: labels, Actor: actor()}, nil
}
