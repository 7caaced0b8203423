package app

import (
	"context"
	"slices"

	"github.com/spf13/cobra"
	"go.uber.org/fx"

	"github.com/sluiceworks/sluice/modules/bench"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/modules/workers"
)

type benchHelperNeeds struct {
	fx.In
	Workers workers.Deps
	Handler *bench.Handler
}

// benchHelperCommand is the command of the additional processes that bench starts. It communicates only with the
// process that started it.
func (c *cli) benchHelperCommand() *cobra.Command {
	var settings bench.Settings
	slots := workers.DefaultSlots
	cmd := &cobra.Command{
		Use: "bench-helper", Short: "Work on the benchmark of another process", Hidden: true, Args: arguments(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c.extensions = slices.Concat(c.extensions, []fx.Option{bench.Module(settings)})
			return with(cmd.Context(), c, func(ctx context.Context, n benchHelperNeeds) error {
				return bench.Attend(ctx, n.Workers, slots, n.Handler, c.stdin, c.stdout.Data())
			})
		},
	}
	cmd.Flags().Var(&count{&slots, 1}, "workers", "run at most `N` tasks at once")
	cmd.Flags().Var(&bounded{count{&settings.Payload, 0}, tasks.MaxOutput}, "payload",
		"each task gives `N` bytes of output")
	cmd.Flags().Var(&durationFlag{&settings.Sleep, 0}, "sleep", "each task takes `DURATION`")
	cmd.Flags().Var(&count{&settings.SampleEvery, 1}, "every", "observe one run in `N`")
	return cmd
}
