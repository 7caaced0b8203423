package app

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"go.uber.org/fx"

	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/modules/views"
	"github.com/sluiceworks/sluice/platform/db"
)

type controlNeeds struct {
	fx.In
	DB         *db.DB
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
				return printJSON(c.stdout, views.OfExecution(x, n.DB.Now()))
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
	var cleanups []string
	cmd := c.controlCommand("cancel ID", "End an execution and all its tasks",
		func(ctx context.Context, e *pipelines.Engine, o pipelines.Order) (err error) {
			if err = e.Cancel(ctx, o); err == nil {
				cleanups, err = e.CancelledCleanups(ctx, o.ID)
			}
			return err
		},
		func(x pipelines.Execution) string {
			text := fmt.Sprintf("cancelled %s %s: `sluice retry %s` would take it up again", x.PipelineName, x.ID, x.ID)
			if len(cleanups) > 0 {
				text += fmt.Sprintf("\ncancelled too, and did not clean up: %s with trigger_rule all_done or always (%s)",
					counted(int64(len(cleanups)), "task"), strings.Join(cleanups, ", "))
			}
			return text
		})
	cmd.Long = `Ends an execution and all its tasks. What runs is stopped. Tasks that clean up (trigger_rule all_done or always) are
cancelled too; the answer names them. A retry runs them with the rest.`
	return cmd
}

func (c *cli) retryCommand() *cobra.Command {
	var from string
	var dryRun bool
	cmd := c.controlCommand("retry ID", "Run again what did not complete of an execution that has ended, or from a task on",
		func(ctx context.Context, e *pipelines.Engine, o pipelines.Order) error {
			list, err := e.PreviewRetry(ctx, o.ID, from)
			if err != nil {
				return err
			}
			fmt.Fprintln(c.stderr, runsAgain(list))
			return e.Retry(ctx, o, from)
		},
		func(x pipelines.Execution) string {
			return fmt.Sprintf("restarted %s %s, %s to do by `sluice serve`", x.PipelineName, x.ID, counted(int64(x.OpenTasks), "task"))
		})
	cmd.Long = `Runs again what failed, was abandoned or was cancelled, and all that depends on it, completed or not: clean-up and alerts
belong to what they follow. With --from it runs that task again, however it ended, and all that depends on it; an execution that
has completed is run again only so. What will run is printed first.`
	cmd.Example = `  sluice retry ID
  sluice retry ID --from prepare --dry-run`
	cmd.Flags().StringVar(&from, "from", "", "only `TASK`, completed or not, and what depends on it")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "print what would run again, and change nothing")
	retry := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !dryRun {
			return retry(cmd, args)
		}
		return c.previewRetry(cmd, args[0], from)
	}
	return cmd
}

// previewRetry prints what a retry would run again.
func (c *cli) previewRetry(cmd *cobra.Command, arg, from string) error {
	id, err := parseID(arg)
	if err != nil {
		return err
	}
	return with(cmd.Context(), c, func(ctx context.Context, n controlNeeds) error {
		list, err := n.Engine.PreviewRetry(ctx, id, from)
		if err != nil {
			return withHint(err, stateHint(err, id.String()))
		}
		if cmd.Flag("output").Value.String() == formatJSON {
			return printList(c.stdout, list, "")
		}
		fmt.Fprintln(c.stdout, runsAgain(list))
		return nil
	})
}

// runsAgain lists what a retry runs again, and how that stood.
func runsAgain(list []pipelines.RunsAgain) string {
	names := make([]string, len(list))
	for i, r := range list {
		names[i] = fmt.Sprintf("%s (%s)", r.TaskName, r.Status)
	}
	return "runs again: " + strings.Join(names, ", ")
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
