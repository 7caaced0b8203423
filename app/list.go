package app

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/fx"

	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/platform/db"
)

type listNeeds struct {
	fx.In
	DB         *db.DB
	Executions *pipelines.Repository
}

func (c *cli) listCommand() *cobra.Command {
	var status, before string
	f := pipelines.Filter{Limit: 50}
	allowed := []string{}
	for _, s := range pipelines.Statuses() {
		allowed = append(allowed, string(s))
	}
	cmd := &cobra.Command{Use: "list", Short: "List executions, newest first", Args: arguments(0, 0, "")}
	cmd.Flags().Var(&choice{value: &status, allowed: allowed, kind: "STATUS"}, "status", "only those with `STATUS`: Running, Paused, Completed, Failed or Cancelled")
	cmd.Flags().StringVar(&f.PipelineName, "pipeline", "", "only those of the pipeline `NAME`")
	cmd.Flags().Var(&count{&f.Limit, 1}, "limit", "at most `N`")
	cmd.Flags().StringVar(&before, "before", "", "only those older than the execution `ID`")
	format := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		f.Status = pipelines.Status(status)
		if before != "" {
			var err error
			if f.Before, err = parseID(before); err != nil {
				return err
			}
		}
		return with(cmd.Context(), c, func(ctx context.Context, n listNeeds) error {
			list, err := n.Executions.List(ctx, f)
			if err != nil {
				return err
			}
			if *format == formatJSON {
				return printJSON(c.stdout, list)
			}
			c.printExecutions(list, n.DB.Now(), f)
			return nil
		})
	}
	return cmd
}

func (c *cli) printExecutions(list []pipelines.Execution, now time.Time, f pipelines.Filter) {
	switch {
	case len(list) == 0 && f != pipelines.Filter{Limit: f.Limit}:
		fmt.Fprintln(c.stderr, "no execution matches")
		return
	case len(list) == 0:
		fmt.Fprintln(c.stderr, "no executions: `sluice run FILE` makes one")
		return
	}
	p := paintFor(c.stdout)
	rows := make([][]string, len(list))
	for i, x := range list {
		took := between(x.CreatedAt, x.CompletedAt)
		if !x.Status.Terminal() {
			took = span(now.Sub(x.CreatedAt.Time))
		}
		rows[i] = []string{x.ID.String(), x.PipelineName, p.status(string(x.Status)), moment(x.CreatedAt), took, openTasks(x), firstLine(string(x.Error), 60)}
	}
	printTable(c.stdout, []string{"id", "pipeline", "status", "started", "duration", "open tasks", "error"}, rows)
	if len(list) == f.Limit {
		fmt.Fprintf(c.stderr, "older ones: sluice list --before %s\n", list[len(list)-1].ID)
	}
}

func openTasks(x pipelines.Execution) string {
	if x.OpenTasks == 0 {
		return ""
	}
	return strconv.Itoa(x.OpenTasks)
}
