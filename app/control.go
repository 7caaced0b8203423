package app

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"go.uber.org/fx"

	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/modules/views"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

type controlNeeds struct {
	fx.In
	DB         *db.DB
	Engine     *engine.Engine
	Executions *engine.Repository
}

// control describes a command that controls executions.
type control struct {
	verb, past string             // such as cancel, cancelled
	possible   []pipelines.Status // the statuses that it applies to, for a filter without statuses
	give       func(context.Context, *engine.Engine, engine.Orders) ([]error, error)
	said       func(x pipelines.Execution) string // describes what it did to one execution

	// preview returns what it will do to one execution. It is nil if that is obvious.
	preview func(context.Context, *engine.Engine, dbtype.ID) ([]engine.RunsAgain, error)
	// more returns further output for one execution. It is nil if there is none.
	more func(context.Context, *engine.Engine, dbtype.ID) (string, error)
}

// controlFlags are the flags of all such commands.
type controlFlags struct {
	filter      filterFlags
	reason      string
	yes, dryRun bool
	format      *string
}

// controlCommand returns the command.
func (c *cli) controlCommand(o control, short, example string) *cobra.Command {
	var f controlFlags
	cmd := &cobra.Command{
		Use:   o.verb + " ID…|FILTER",
		Short: short,
		Long: short + `.

It takes ids, or the flags of ` + "`sluice list`" + ` to choose all that they match and for which it is possible; then
it says how many those are and asks first. It works in sets of some hundred; interrupted, what is done is done, and the
same command goes on.
Exit code 5: it was not possible for one of them, which the answer names.`,
		Example: example,
		Args:    cobra.ArbitraryArgs,
	}
	f.filter.add(cmd)
	cmd.Flags().StringVar(&f.reason, "reason", "", "`TEXT` for the history: why")
	cmd.Flags().BoolVar(&f.yes, "yes", false, "do not ask")
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "say what it would be done to, and do nothing")
	f.format = outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) > 0 && f.filter.given():
			return withHint(usagef("ids and filters don't go together"), "leave one out")
		case len(args) == 0 && !f.filter.given():
			return withHint(usagef("%s needs the id of an execution, or a filter", cmd.CommandPath()), "`"+
				cmd.CommandPath()+" --help` says more")
		}
		if err := checkIDs(args...); err != nil {
			return err
		}
		return with(cmd.Context(), c, func(ctx context.Context, n controlNeeds) error {
			if len(args) == 0 {
				return c.controlFilter(ctx, n, o, f)
			}
			ids, err := resolveIDs(ctx, n.Executions, args)
			if err != nil {
				return err
			}
			if len(ids) == 1 && (!f.dryRun || o.preview != nil) {
				return c.controlOne(ctx, n, o, f, ids[0])
			}
			return c.controlIDs(ctx, n, o, f, ids)
		})
	}
	return cmd
}

// controlOne applies the command to one execution.
func (c *cli) controlOne(ctx context.Context, n controlNeeds, o control, f controlFlags, id dbtype.ID) error {
	if o.preview != nil {
		list, err := o.preview(ctx, n.Engine, id)
		switch {
		case err != nil:
			return withHint(err, stateHint(err, id.String()))
		case f.dryRun && *f.format == formatJSON:
			return printList(c.stdout, list, "")
		case f.dryRun:
			fmt.Fprintln(c.stdout, runsAgain(list))
			return nil
		}
		fmt.Fprintln(c.stderr, runsAgain(list))
	}
	results, err := o.give(ctx, n.Engine, engine.Orders{IDs: []dbtype.ID{id}, Reason: f.reason, Actor: actor()})
	if err == nil {
		err = results[0]
	}
	if err != nil {
		return withHint(err, stateHint(err, id.String()))
	}
	x, err := n.Executions.Get(ctx, id)
	if err != nil {
		return err
	}
	if *f.format == formatJSON {
		starts, err := n.Executions.Starts(ctx, []pipelines.Execution{x})
		if err != nil {
			return err
		}
		return printJSON(c.stdout, views.OfExecution(x, starts[id], n.DB.Now()))
	}
	fmt.Fprintln(c.stdout, c.again(o.said(x)))
	if o.more == nil {
		return nil
	}
	text, err := o.more(ctx, n.Engine, id)
	if text != "" {
		fmt.Fprintln(c.stdout, text)
	}
	return err
}

// runsAgain lists the tasks that a retry runs again, with their statuses.
func runsAgain(list []engine.RunsAgain) string {
	names := make([]string, len(list))
	for i, r := range list {
		names[i] = fmt.Sprintf("%s (%s)", r.TaskName, r.Status)
	}
	return "runs again: " + strings.Join(names, ", ")
}

// cancelledCleanups lists the clean-up tasks that a cancellation prevented from running.
func cancelledCleanups(ctx context.Context, e *engine.Engine, id dbtype.ID) (string, error) {
	names, err := e.CancelledCleanups(ctx, id)
	if len(names) == 0 {
		return "", err
	}
	return fmt.Sprintf("cancelled too, and did not clean up: %s with trigger_rule all_done or always (%s)",
		counted(int64(len(names)), "task"), strings.Join(names, ", ")), err
}

func (c *cli) pauseCommand() *cobra.Command {
	return c.controlCommand(control{
		verb: "pause", past: "paused", possible: []pipelines.Status{pipelines.Running},
		give: func(ctx context.Context, e *engine.Engine, o engine.Orders) ([]error, error) {
			return e.PauseAll(ctx, o)
		},
		said: func(x pipelines.Execution) string {
			return fmt.Sprintf("paused %s %s: `sluice resume %s` lets it go on", x.PipelineName, x.ID, x.ID)
		},
	}, "Start no more tasks of executions; running ones finish",
		"  sluice pause latest\n  sluice pause --pipeline orders --reason 'database is moved'")
}

func (c *cli) resumeCommand() *cobra.Command {
	return c.controlCommand(control{
		verb: "resume", past: "resumed", possible: []pipelines.Status{pipelines.Paused},
		give: func(ctx context.Context, e *engine.Engine, o engine.Orders) ([]error, error) {
			return e.ResumeAll(ctx, o)
		},
		said: func(x pipelines.Execution) string {
			return fmt.Sprintf("resumed %s %s, %s to do", x.PipelineName, x.ID, counted(int64(x.OpenTasks), "task"))
		},
	}, "Let paused executions go on", "  sluice resume latest\n  sluice resume --pipeline orders --yes")
}

func (c *cli) cancelCommand() *cobra.Command {
	return c.controlCommand(control{
		verb: "cancel", past: "cancelled", possible: []pipelines.Status{pipelines.Running, pipelines.Paused},
		give: func(ctx context.Context, e *engine.Engine, o engine.Orders) ([]error, error) {
			return e.CancelAll(ctx, o)
		},
		said: func(x pipelines.Execution) string {
			return fmt.Sprintf("cancelled %s %s: `sluice retry %s` would take it up again", x.PipelineName, x.ID, x.ID)
		},
		more: cancelledCleanups,
	}, "End executions and all their tasks",
		"  sluice cancel latest --reason 'wrong day'\n  sluice cancel --pipeline orders --since 10m --dry-run")
}

func (c *cli) retryCommand() *cobra.Command {
	var from string
	cmd := c.controlCommand(control{
		verb: "retry", past: "restarted", possible: []pipelines.Status{pipelines.Failed, pipelines.Cancelled},
		give: func(ctx context.Context, e *engine.Engine, o engine.Orders) ([]error, error) {
			return e.RetryAll(ctx, o, from)
		},
		said: func(x pipelines.Execution) string {
			return fmt.Sprintf("restarted %s %s, %s to do by `sluice serve`", x.PipelineName, x.ID,
				counted(int64(x.OpenTasks), "task"))
		},
		preview: func(ctx context.Context, e *engine.Engine, id dbtype.ID) ([]engine.RunsAgain, error) {
			return e.PreviewRetry(ctx, id, from)
		},
	}, "Run again what did not complete of executions that have ended, and all that depends on it, completed "+
		"clean-up and alerts included",
		"  sluice retry latest:orders\n  sluice retry latest --run\n  sluice retry ID --from load --dry-run\n  "+
			"sluice retry --status failed --error 'connection refused' --since 1d")
	c.retryHere(cmd, &from)
	cmd.Flags().StringVar(&from, "from", "",
		"only `TASK`, completed or not, and all that depends on it; an execution that completed is run again only so")
	return cmd
}

// stateHint returns a hint for an execution whose state does not allow the command.
func stateHint(err error, id string) string {
	switch {
	case errors.Is(err, pipelines.ErrInvalidState):
		return "`sluice show " + id + "` says how it stands"
	case errors.Is(err, tasks.ErrNotFound):
		return "`sluice show " + id + "` lists its tasks"
	}
	return ""
}
