package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"go.uber.org/fx"

	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/tasks"
)

type controlNeeds struct {
	fx.In
	Engine     *pipelines.Engine
	Executions *pipelines.Repository
}

// controlCommand is a command that gives one order to one execution. said tells what it did.
func (c *cli) controlCommand(use, short string, give func(context.Context, *pipelines.Engine, pipelines.Order) error,
	said func(x pipelines.Execution) string,
) *cobra.Command {
	var reason string
	cmd := &cobra.Command{Use: use, Short: short, Args: arguments(1, 1, "the id of an execution")}
	cmd.Flags().StringVar(&reason, "reason", "", "`TEXT` for the history: why")
	format := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := parseID(args[0])
		if err != nil {
			return err
		}
		return with(cmd.Context(), c, func(ctx context.Context, n controlNeeds) error {
			if err := give(ctx, n.Engine, pipelines.Order{ID: id, Reason: reason, Actor: actor()}); err != nil {
				return withHint(err, stateHint(err, id.String()))
			}
			x, err := n.Executions.Get(ctx, id)
			if err != nil {
				return err
			}
			if *format == formatJSON {
				return printJSON(c.stdout, x)
			}
			fmt.Fprintln(c.stdout, said(x))
			return nil
		})
	}
	return cmd
}

func (c *cli) pauseCommand() *cobra.Command {
	return c.controlCommand("pause ID", "Start no more tasks of an execution; running ones finish",
		func(ctx context.Context, e *pipelines.Engine, o pipelines.Order) error { return e.Pause(ctx, o) },
		func(x pipelines.Execution) string {
			return fmt.Sprintf("paused %s %s: `sluice resume %s` lets it go on", x.PipelineName, x.ID, x.ID)
		})
}

func (c *cli) resumeCommand() *cobra.Command {
	return c.controlCommand("resume ID", "Let a paused execution go on",
		func(ctx context.Context, e *pipelines.Engine, o pipelines.Order) error { return e.Resume(ctx, o) },
		func(x pipelines.Execution) string {
			return fmt.Sprintf("resumed %s %s, %s to do", x.PipelineName, x.ID, counted(int64(x.OpenTasks), "task"))
		})
}

func (c *cli) cancelCommand() *cobra.Command {
	return c.controlCommand("cancel ID", "End an execution and all its tasks",
		func(ctx context.Context, e *pipelines.Engine, o pipelines.Order) error { return e.Cancel(ctx, o) },
		func(x pipelines.Execution) string {
			return fmt.Sprintf("cancelled %s %s: `sluice retry %s` would take it up again", x.PipelineName, x.ID, x.ID)
		})
}

func (c *cli) retryCommand() *cobra.Command {
	var from string
	cmd := c.controlCommand("retry ID", "Run again what did not complete of a failed or cancelled execution",
		func(ctx context.Context, e *pipelines.Engine, o pipelines.Order) error { return e.Retry(ctx, o, from) },
		func(x pipelines.Execution) string {
			return fmt.Sprintf("restarted %s %s, %s to do by `sluice serve`", x.PipelineName, x.ID, counted(int64(x.OpenTasks), "task"))
		})
	cmd.Flags().StringVar(&from, "from", "", "only `TASK` and what follows from it")
	return cmd
}

// stateHint says what may be done where an order came at the wrong time.
func stateHint(err error, id string) string {
	switch {
	case errors.Is(err, pipelines.ErrState):
		return "`sluice show " + id + "` says how it stands"
	case errors.Is(err, tasks.ErrNotFound):
		return "`sluice show " + id + "` lists its tasks"
	}
	return ""
}
