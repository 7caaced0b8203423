package app

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/fx"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/events/eventstore"
	"github.com/sluiceworks/sluice/modules/history"
	"github.com/sluiceworks/sluice/modules/inspect"
	"github.com/sluiceworks/sluice/modules/leases"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/modules/tasks/taskstore"
	"github.com/sluiceworks/sluice/modules/views"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

type showNeeds struct {
	fx.In
	DB         *db.DB
	Executions *engine.Repository
	Tasks      *taskstore.Repository
	Events     *eventstore.Repository
	Leases     *leases.Repository
}

// showDocument is one execution with everything that belongs to it, now or in the past.
type showDocument struct {
	Execution pipelines.Execution
	Tasks     []tasks.Task
	Attempts  []inspect.Attempt
	Waiting   []inspect.Waiting // in the order of tasks
	timelineDocument
	At *pastMoment // set if the document shows the past

	failures []failedTask
	run      inspect.Run
	started  dbtype.Time // when the first task started; zero: none has
	now      time.Time
}

// showView is a document in JSON.
type showView struct {
	Failures  []failedTask      `json:"failures"` // why the run failed, or will fail: root causes first
	Waiting   []inspect.Waiting `json:"waiting"`
	Execution views.Execution   `json:"execution"`
	Tasks     []views.Task      `json:"tasks"`
	Attempts  []inspect.Attempt `json:"attempts"`
	timelineDocument
	At *pastMoment `json:"at,omitempty"`
}

func (doc *showDocument) view() showView {
	return showView{
		Execution: views.OfExecution(doc.Execution, doc.started, doc.now),
		Tasks:     views.OfTasks(doc.Tasks, doc.run.Needs(), doc.now),
		Failures:  doc.failures, Attempts: doc.Attempts, Waiting: doc.Waiting, timelineDocument: doc.timelineDocument,
		At: doc.At,
	}
}

// showFlags say what of an execution is shown.
type showFlags struct {
	logs     bool
	timeline string
	past     pastFlags
}

func (c *cli) showCommand() *cobra.Command {
	f := showFlags{timeline: timelineSummary}
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Show an execution with its tasks, attempts and timeline, and why what waits is waiting",
		Long: `Shows an execution: what failed and why, what is waited for, its tasks, what became of each attempt, why
what waits is waiting, and a timeline of where the time went. With --at or --at-event it shows all that as it was, and
which tasks a worker could have claimed, by the history alone.`,
		Example: `  sluice show ID
  sluice show ID --at 10m
  sluice show ID --at-event 1234 -o json`,
		Args: arguments(1, 1, "the id of an execution"),
	}
	cmd.Flags().BoolVar(&f.logs, "logs", false,
		"print what all attempts wrote, whole (else the end of what failed ones wrote)")
	cmd.Flags().Var(&choice{
		value: &f.timeline, allowed: []string{timelineSummary, timelineAll, timelineNone},
		kind: "ROWS", former: map[string]string{"telling": timelineSummary},
	}, "timeline",
		"which `ROWS` of the timeline to draw: summary (the 30 most important), all or none; json has all")
	f.past.add(cmd)
	format := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := checkIDs(args[0]); err != nil {
			return err
		}
		if err := f.past.check(); err != nil {
			return err
		}
		return with(cmd.Context(), c, func(ctx context.Context, n showNeeds) error {
			id, err := resolveID(ctx, n.Executions, args[0])
			if err != nil {
				return err
			}
			doc, err := n.read(ctx, id, f.past)
			if err != nil {
				return err
			}
			doc.failures = c.failures(&doc.run)
			for i := range doc.Waiting {
				doc.Waiting[i].Reason = c.again(doc.Waiting[i].Reason)
			}
			if *format == formatJSON {
				return n.printJSON(ctx, c, &doc)
			}
			c.printShow(doc, f)
			return nil
		})
	}
	return cmd
}

// printJSON prints the document. Unless it shows the past, the current outputs are read while it is printed.
func (n showNeeds) printJSON(ctx context.Context, c *cli, doc *showDocument) error {
	v := doc.view()
	if doc.At != nil {
		return printJSON(c.stdout, v)
	}
	list := v.Tasks
	v.Tasks = []views.Task{}
	return printTasks(ctx, c.stdout, v, list, n.Tasks)
}

// read returns an execution without its current outputs, as of one moment.
func (n showNeeds) read(ctx context.Context, id dbtype.ID, past pastFlags) (doc showDocument, err error) {
	err = n.DB.Snapshot(ctx, func(ctx context.Context) error {
		doc, err = n.readAll(ctx, id, past)
		return err
	})
	return doc, err
}

func (n showNeeds) readAll(ctx context.Context, id dbtype.ID, past pastFlags) (showDocument, error) {
	doc := showDocument{now: n.DB.Now()}
	var err error
	if doc.Execution, err = n.Executions.Get(ctx, id); err != nil {
		return doc, err
	}
	rows := n.Tasks.Summaries
	if past.given() {
		rows = n.Tasks.ListByPipeline // the history says which outputs existed
	}
	if doc.Tasks, err = rows(ctx, id); err != nil {
		return doc, err
	}
	list, err := n.Events.ListByPipeline(ctx, id, eventstore.Page{})
	if err != nil {
		return doc, err
	}
	written, err := n.Tasks.Logs(ctx, id)
	if err != nil {
		return doc, err
	}
	if err := doc.remember(list, past); err != nil {
		return doc, err
	}
	if doc.At != nil {
		written = doc.run.EndedLogs(written)
	}
	doc.Attempts, doc.started = doc.run.Attempts(written), doc.run.FirstStart()
	return doc, doc.explain(ctx, n)
}

// remember reads the history: the timeline and what run knows of the past. If the flags name a moment of the past, it
// changes the document to that moment.
func (doc *showDocument) remember(list []events.Event, f pastFlags) (err error) {
	var past *history.Past
	if f.given() {
		if past, err = doc.travel(list, f); err != nil {
			return err
		}
	} else {
		past = history.Fold(list)
	}
	if doc.Execution.EventsRemoved == 0 {
		doc.timelineDocument, err = drawUp(past, doc.now)
	}
	if err != nil && !errors.Is(err, history.ErrBroken) {
		return err
	}
	doc.broken = err
	doc.run = inspect.Run{Execution: doc.Execution, Tasks: doc.Tasks, Past: past}
	return past.DecodeErr()
}

// explain sets the reasons of the waiting tasks.
func (doc *showDocument) explain(ctx context.Context, n showNeeds) error {
	if doc.At != nil {
		doc.Waiting = doc.run.WaitingAt(doc.now)
		return nil
	}
	var workers inspect.Workers
	if !doc.Execution.Status.Terminal() {
		var err error
		if workers, err = inspect.ReadWorkers(ctx, n.DB, n.Leases, n.Tasks); err != nil {
			return err
		}
	}
	doc.Waiting = doc.run.Waiting(workers)
	return nil
}
