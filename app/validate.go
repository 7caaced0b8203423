package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"go.uber.org/fx"

	"sluice/modules/pipelines/definition"
	"sluice/modules/tasks"
)

type validateNeeds struct {
	fx.In
	Handlers *tasks.Registry
}

func (c *cli) validateCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "validate FILE…",
		Short: "Say what is wrong with pipelines, with file, line and a hint",
		Args:  arguments(1, -1, "at least one file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return with(cmd.Context(), c, func(_ context.Context, n validateNeeds) error {
				bad := false
				for _, path := range args {
					def, err := parseFile(path, c.stdin, n.Handlers)
					var problems definition.Problems
					switch {
					case errors.As(err, &problems):
						c.reportProblems(problems)
						bad = true
					case err != nil:
						fmt.Fprintf(c.stderr, "sluice: %v\n", err)
						bad = true
					default:
						fmt.Fprintf(c.stdout, "%s: ok (%s)\n", path, counted(int64(len(def.Tasks)), "task"))
					}
				}
				if bad {
					return exitStatus(exitUsage)
				}
				return nil
			})
		},
	}
}
