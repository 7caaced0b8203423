package app

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.uber.org/fx"

	"github.com/sluiceworks/sluice/modules/leases"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/modules/tasks/taskstore"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

type workersNeeds struct {
	fx.In
	DB         *db.DB
	Executions *engine.Repository
	Tasks      *taskstore.Repository
	Leases     *leases.Repository
}

// workerRow is a worker process with its tasks. A worker that has no row any more, but whose tasks have not been
// recovered, has only an id.
type workerRow struct {
	leases.Worker
	Alive     bool          `json:"alive"`         // its lease has not expired
	Draining  bool          `json:"draining"`      // it finishes its tasks and claims no more
	LeaseMS   int64         `json:"lease_left_ms"` // negative: expired
	SlotsUsed int           `json:"slots_used"`
	Tasks     []workingTask `json:"tasks"` // longest running first
}

// workingTask is a task that a worker holds.
type workingTask struct {
	TaskName            string      `json:"id"`
	TaskExecutionID     dbtype.ID   `json:"task_execution_id"`
	PipelineExecutionID dbtype.ID   `json:"pipeline_execution_id"`
	PipelineName        string      `json:"pipeline"`
	Attempt             int         `json:"attempt"`
	StartedAt           dbtype.Time `json:"started_at"`
}

func (c *cli) workersCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "workers", Example: "  sluice workers\n  sluice workers -o json", Short: "List the worker processes, their leases, and what they are doing", Args: arguments(0, 0, "")}
	format := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return with(cmd.Context(), c, func(ctx context.Context, n workersNeeds) error {
			f, err := readProcesses(ctx, n.DB, n.Leases, n.Tasks)
			if err != nil {
				return err
			}
			rows, err := n.rows(ctx, f)
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

func (n workersNeeds) rows(ctx context.Context, f processes) ([]workerRow, error) {
	executions := map[dbtype.ID]bool{}
	for _, list := range f.running {
		for _, t := range list {
			executions[t.PipelineExecutionID] = true
		}
	}
	runs, err := n.Executions.Find(ctx, slices.Collect(maps.Keys(executions)))
	if err != nil {
		return nil, err
	}
	rows := []workerRow{}
	for _, w := range f.withGone() {
		row := workerRow{Worker: w, Alive: f.alive(w), Draining: w.Draining(), LeaseMS: w.LeaseExpiresAt.Sub(f.now).Milliseconds(), SlotsUsed: len(f.running[w.ID]), Tasks: []workingTask{}}
		if w.LeaseExpiresAt.IsZero() {
			row.LeaseMS, row.Draining = 0, false
		}
		for _, t := range f.running[w.ID] {
			row.Tasks = append(row.Tasks, workingTask{
				TaskExecutionID: t.ID, PipelineExecutionID: t.PipelineExecutionID, PipelineName: runs[t.PipelineExecutionID].PipelineName,
				TaskName: t.TaskName, Attempt: t.Attempt, StartedAt: t.StartedAt,
			})
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func (c *cli) printWorkers(list []workerRow, f processes) {
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
	printFitted(c.stdout, []string{"id", "host", "since", "slots", "lease", "doing", "queues", "handlers", "limits"}, rows, "doing", "handlers", "limits", "queues", "host")
}

// doing describes the tasks that a worker has held longest.
func doing(list []workingTask, f processes) string {
	const most = 3
	var parts []string
	for _, t := range list[:min(most, len(list))] {
		parts = append(parts, fmt.Sprintf("%s/%s for %s", t.PipelineName, t.TaskName, span(f.now.Sub(t.StartedAt.Time))))
	}
	text := strings.Join(parts, ", ")
	if left := len(list) - most; left > 0 {
		text += fmt.Sprintf(" and %d more", left)
	}
	return text
}
