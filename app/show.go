package app

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/fx"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/history"
	"github.com/sluiceworks/sluice/modules/leases"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db"
)

type showNeeds struct {
	fx.In
	DB         *db.DB
	Executions *pipelines.Repository
	Tasks      *tasks.Repository
	Events     *events.Repository
	Leases     *leases.Repository
}

// showDocument is one execution with all that belongs to it, as it stands or as it stood.
type showDocument struct {
	Execution pipelines.Execution `json:"execution"`
	Tasks     []tasks.Task        `json:"tasks"`
	Attempts  []attempt           `json:"attempts"`
	Waiting   []waitingTask       `json:"waiting"` // in the order of tasks
	timelineDocument
	At *pastMoment `json:"at,omitempty"` // of the past

	account *account
	fleet   fleet
	now     time.Time
}

// waitingTask is a task that is not running, with the reason.
type waitingTask struct {
	TaskName string `json:"task_name"`
	Reason   string `json:"reason"`
}

// showFlags say what of an execution is shown.
type showFlags struct {
	logs     bool
	timeline string
	past     pastFlags
}

func (c *cli) showCommand() *cobra.Command {
	f := showFlags{timeline: timelineTelling}
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Show an execution with its tasks, attempts and timeline, and why what waits is waiting",
		Long: `Shows an execution: its tasks, what became of each attempt, why what waits is waiting, and a timeline of where the
time went. With --at or --at-event it shows all that as it was, and which tasks a worker could have claimed, by the history alone.`,
		Example: `  sluice show ID
  sluice show ID --at 10m
  sluice show ID --at-event 1234 -o json`,
		Args: arguments(1, 1, "the id of an execution"),
	}
	cmd.Flags().BoolVar(&f.logs, "logs", false, "print what all attempts wrote, whole (else the end of what failed ones wrote)")
	cmd.Flags().Var(&choice{value: &f.timeline, allowed: []string{timelineTelling, timelineAll, timelineNone}, kind: "ROWS"}, "timeline",
		"which `ROWS` of the timeline to draw: telling (the 30 most telling), all or none; json has all")
	f.past.add(cmd)
	format := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := parseID(args[0])
		if err != nil {
			return err
		}
		if err := f.past.check(); err != nil {
			return err
		}
		return with(cmd.Context(), c, func(ctx context.Context, n showNeeds) error {
			doc, err := n.read(ctx, id, f.past)
			if err != nil {
				return err
			}
			if *format == formatJSON {
				return printJSON(c.stdout, doc)
			}
			c.printShow(doc, f)
			return nil
		})
	}
	return cmd
}

// read reads an execution. The rows come before the events, which are then at least as new.
func (n showNeeds) read(ctx context.Context, id db.ID, past pastFlags) (showDocument, error) {
	doc := showDocument{now: n.DB.Now(), Waiting: []waitingTask{}}
	var err error
	if doc.Execution, err = n.Executions.Get(ctx, id); err != nil {
		return doc, err
	}
	if doc.Tasks, err = n.Tasks.ListByPipeline(ctx, id); err != nil {
		return doc, err
	}
	list, err := n.Events.ListByPipeline(ctx, id, events.Page{})
	if err != nil {
		return doc, err
	}
	written, err := n.Tasks.Logs(ctx, id)
	if err != nil {
		return doc, err
	}
	var log *history.Log
	truncated := doc.Execution.EventsRemoved > 0
	if past.given() {
		if log, err = doc.travel(list, past); err != nil {
			return doc, err
		}
		list = log.Events()
	} else if !truncated {
		log, err = history.New(list)
	}
	if err == nil && log != nil {
		doc.timelineDocument, err = drawUp(log, doc.now)
	}
	if err != nil && !errors.Is(err, history.ErrBroken) {
		return doc, err
	}
	doc.broken = err
	if doc.account, err = readHistory(list, truncated); err != nil {
		return doc, err
	}
	if doc.At != nil {
		written = doc.account.ended(written)
	}
	doc.Attempts = doc.account.list(doc.Tasks, written)
	return doc, doc.explain(ctx, n)
}

// explain says why what waits is waiting.
func (doc *showDocument) explain(ctx context.Context, n showNeeds) (err error) {
	statuses := statusesOf(doc.Tasks)
	reason := func(t tasks.Task) string { return doc.account.waited(t, doc.Execution, statuses, doc.now) }
	if doc.At == nil {
		if !doc.Execution.Status.Terminal() {
			if doc.fleet, err = readFleet(ctx, n.DB, n.Leases, n.Tasks); err != nil {
				return err
			}
		}
		reason = func(t tasks.Task) string { return doc.account.waiting(t, doc.Execution, statuses, doc.fleet) }
	}
	for _, t := range doc.Tasks {
		if why := reason(t); why != "" {
			doc.Waiting = append(doc.Waiting, waitingTask{t.TaskName, why})
		}
	}
	return nil
}
