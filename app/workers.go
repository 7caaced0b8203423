package app

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"go.uber.org/fx"

	"github.com/sluiceworks/sluice/modules/inspect"
	"github.com/sluiceworks/sluice/modules/leases"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/modules/tasks/taskstore"
	"github.com/sluiceworks/sluice/platform/db"
)

type workersNeeds struct {
	fx.In
	DB         *db.DB
	Executions *engine.Repository
	Tasks      *taskstore.Repository
	Leases     *leases.Repository
}

func (c *cli) workersCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "workers", Example: "  sluice workers\n  sluice workers -o json",
		Short: "List the worker processes, their leases, and what they are doing", Args: arguments(0, 0, ""),
	}
	format := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return with(cmd.Context(), c, func(ctx context.Context, n workersNeeds) error {
			f, err := inspect.ReadWorkers(ctx, n.DB, n.Leases, n.Tasks)
			if err != nil {
				return err
			}
			rows, err := f.WorkerViews(ctx, n.Executions)
			if err != nil {
				return err
			}
			if *format == formatJSON {
				return printList(c.stdout, rows, "")
			}
			c.printWorkers(rows, f)
			return nil
		})
	}
	return cmd
}

func (c *cli) printWorkers(list []inspect.WorkerView, f inspect.Workers) {
	if len(list) == 0 {
		fmt.Fprintln(c.stderr, c.again("no workers: `sluice serve` starts one"))
		return
	}
	rows := make([][]string, len(list))
	for i, w := range list {
		since, slots, lease := "", fmt.Sprintf("%d", w.SlotsUsed), "gone"
		if !w.StartedAt.IsZero() {
			since, slots = moment(w.StartedAt), fmt.Sprintf("%d/%d", w.SlotsUsed, w.Slots)
			lease = "ends in " + span(msec(w.LeaseMS))
			if w.Draining {
				lease = "draining, " + lease
			}
			if !w.Alive {
				lease = "expired " + span(msec(-w.LeaseMS)) + " ago"
			}
		}
		rows[i] = []string{w.ID, w.Hostname, since, slots, lease, doing(w.Tasks, f), w.Queues, w.Handlers, w.Limits}
	}
	printFitted(c.stdout, []string{"id", "host", "since", "slots", "lease", "doing", "queues", "handlers", "limits"},
		rows, "doing", "handlers", "limits", "queues", "host")
}

// doing describes the tasks that a worker has held longest.
func doing(list []inspect.HeldTask, f inspect.Workers) string {
	const most = 3
	var parts []string
	for _, t := range list[:min(most, len(list))] {
		parts = append(parts,
			fmt.Sprintf("%s/%s for %s", t.PipelineName, t.TaskName, span(f.Now.Sub(t.StartedAt.Time))))
	}
	text := strings.Join(parts, ", ")
	if left := len(list) - most; left > 0 {
		text += fmt.Sprintf(" and %d more", left)
	}
	return text
}
