package app

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/fx"

	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/modules/views"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

type listNeeds struct {
	fx.In
	DB         *db.DB
	Executions *engine.Repository
}

func (c *cli) listCommand() *cobra.Command {
	var f filterFlags
	var cursor string
	var counts bool
	limit := 50
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List executions, newest first",
		Example: `  sluice list --status failed,cancelled --since 1d
  sluice list --pipeline orders --error 'connection refused' --label team=sales
  sluice list --counts --since 1h`,
		Args: arguments(0, 0, ""),
	}
	f.add(cmd)
	cmd.Flags().Var(&count{&limit, 1}, "limit", "at most `N`")
	cmd.Flags().StringVar(&cursor, "cursor", "", "go on behind the execution `ID`: the field next of the answer before")
	cmd.Flags().BoolVar(&counts, "counts", false, "count by pipeline and status instead")
	format := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := checkIDs(cursor); cursor != "" && err != nil {
			return err
		}
		return with(cmd.Context(), c, func(ctx context.Context, n listNeeds) error {
			filter, err := f.filter(n.DB.Now())
			if err != nil {
				return err
			}
			if counts {
				return c.counts(ctx, n, filter, *format)
			}
			if cursor != "" {
				if filter.Before, err = resolveID(ctx, n.Executions, cursor); err != nil {
					return err
				}
			}
			list, next, err := n.page(ctx, filter, limit)
			if err != nil {
				return err
			}
			starts, err := n.Executions.Starts(ctx, list)
			if err != nil {
				return err
			}
			if *format == formatJSON {
				return printList(c.stdout, views.OfExecutions(list, starts, n.DB.Now()), next)
			}
			c.printExecutions(list, starts, n.DB.Now(), f.given() || cursor != "")
			if next != "" {
				fmt.Fprintf(c.stderr, "older ones: %s list%s --limit %d --cursor %s\n", c.program, f.line(), limit,
					next)
			}
			return nil
		})
	}
	return cmd
}

// page returns at most limit executions, and the cursor of the next page, which is empty for the last page.
func (n listNeeds) page(
	ctx context.Context, f engine.Filter, limit int,
) (list []pipelines.Execution, next string, err error) {
	f.Limit = limit + 1
	list, err = n.Executions.List(ctx, f)
	if err != nil || len(list) <= limit {
		return list, "", err
	}
	return list[:limit], list[limit-1].ID.String(), nil
}

// counts prints how many executions there are by pipeline and status.
func (c *cli) counts(ctx context.Context, n listNeeds, f engine.Filter, format string) error {
	list, err := n.Executions.Counts(ctx, f)
	if err != nil {
		return err
	}
	if format == formatJSON {
		return printList(c.stdout, list, "")
	}
	p := paintFor(c.stdout)
	rows, total := make([][]string, len(list)), int64(0)
	for i, x := range list {
		rows[i] = []string{x.Pipeline, p.status(string(x.Status)), strconv.FormatInt(x.Count, 10)}
		total += x.Count
	}
	if len(rows) > 0 {
		printTable(c.stdout, []string{"pipeline", "status", "executions"}, rows)
	}
	fmt.Fprintf(c.stderr, "%s\n", counted(total, "execution"))
	return nil
}

func (c *cli) countCommand() *cobra.Command {
	var f filterFlags
	cmd := &cobra.Command{
		Use:     "count",
		Short:   "Count executions",
		Example: "  sluice count --status running\n  sluice count --pipeline orders --status failed --since 1d -o json",
		Args:    arguments(0, 0, ""),
	}
	f.add(cmd)
	format := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return with(cmd.Context(), c, func(ctx context.Context, n listNeeds) error {
			filter, err := f.filter(n.DB.Now())
			if err != nil {
				return err
			}
			total, err := n.Executions.Count(ctx, filter)
			if err != nil {
				return err
			}
			if *format == formatJSON {
				return printJSON(c.stdout, map[string]int64{"count": total})
			}
			fmt.Fprintln(c.stdout, total)
			return nil
		})
	}
	return cmd
}

func (c *cli) printExecutions(
	list []pipelines.Execution, starts map[dbtype.ID]dbtype.Time, now time.Time, chosen bool,
) {
	switch {
	case len(list) == 0 && chosen:
		fmt.Fprintln(c.stderr, "no execution matches")
		return
	case len(list) == 0:
		fmt.Fprintln(c.stderr, c.again("no executions: `sluice run FILE` makes one"))
		return
	}
	p := paintFor(c.stdout)
	rows := make([][]string, len(list))
	for i, x := range list {
		started, took := starts[x.ID], ""
		switch {
		case started.IsZero():
		case x.Status.Terminal():
			took = between(started, x.CompletedAt)
		default:
			took = span(now.Sub(started.Time))
		}
		rows[i] = []string{
			x.ID.String(), x.PipelineName, p.status(progressOf(x, started)), moment(x.CreatedAt),
			waitedFor(x, started, now), took, openTasks(x),
			errorLine(string(x.Error), 100),
		}
	}
	printWithErrors(c.stdout,
		[]string{"id", "pipeline", "status", "created", "waited", "duration", "open tasks", "error"}, rows, "pipeline")
}

// progressOf returns the status of a run for display. A run of which no task has started is Queued.
func progressOf(x pipelines.Execution, started dbtype.Time) string {
	if x.Status == pipelines.Running && started.IsZero() {
		return "Queued"
	}
	return string(x.Status)
}

// waitedFor returns how long a run waited for its first task to start.
func waitedFor(x pipelines.Execution, started dbtype.Time, now time.Time) string {
	switch {
	case !started.IsZero():
		return between(x.CreatedAt, started)
	case x.Status.Terminal():
		return between(x.CreatedAt, x.CompletedAt)
	}
	return span(now.Sub(x.CreatedAt.Time))
}

func openTasks(x pipelines.Execution) string {
	if x.OpenTasks == 0 {
		return ""
	}
	return strconv.Itoa(x.OpenTasks)
}
