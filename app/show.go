package app

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/fx"

	"sluice/modules/events"
	"sluice/modules/leases"
	"sluice/modules/pipelines"
	"sluice/modules/tasks"
	"sluice/platform/db"
)

type showNeeds struct {
	fx.In
	DB         *db.DB
	Executions *pipelines.Repository
	Tasks      *tasks.Repository
	Events     *events.Repository
	Leases     *leases.Repository
}

// showDocument is one execution with all that belongs to it.
type showDocument struct {
	Execution pipelines.Execution `json:"execution"`
	Tasks     []tasks.Task        `json:"tasks"`
	Attempts  []attempt           `json:"attempts"`
	Waiting   []waitingTask       `json:"waiting"` // in the order of tasks

	history *history
	fleet   fleet
	now     time.Time
}

// waitingTask is a task that is not running, with the reason.
type waitingTask struct {
	TaskName string `json:"task_name"`
	Reason   string `json:"reason"`
}

func (c *cli) showCommand() *cobra.Command {
	var logs bool
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Show an execution with its tasks and attempts, and why what waits is waiting",
		Args:  arguments(1, 1, "the id of an execution"),
	}
	cmd.Flags().BoolVar(&logs, "logs", false, "print what all attempts wrote, whole (else the end of what failed ones wrote)")
	format := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := parseID(args[0])
		if err != nil {
			return err
		}
		return with(cmd.Context(), c, func(ctx context.Context, n showNeeds) error {
			doc, err := n.read(ctx, id)
			if err != nil {
				return err
			}
			if *format == formatJSON {
				return printJSON(c.stdout, doc)
			}
			c.printShow(doc, logs)
			return nil
		})
	}
	return cmd
}

func (n showNeeds) read(ctx context.Context, id db.ID) (showDocument, error) {
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
	if doc.history, err = readHistory(list, doc.Execution.EventsRemoved > 0); err != nil {
		return doc, err
	}
	written, err := n.Tasks.Logs(ctx, id)
	if err != nil {
		return doc, err
	}
	doc.Attempts = doc.history.list(doc.Tasks, written)
	if !doc.Execution.Status.Terminal() {
		if doc.fleet, err = readFleet(ctx, n.DB, n.Leases, n.Tasks); err != nil {
			return doc, err
		}
	}
	for _, t := range doc.Tasks {
		if why := doc.history.waiting(t, doc.Execution, doc.Tasks, doc.fleet); why != "" {
			doc.Waiting = append(doc.Waiting, waitingTask{t.TaskName, why})
		}
	}
	return doc, nil
}

func (c *cli) printShow(doc showDocument, logs bool) {
	p := paintFor(c.stdout)
	c.printExecution(doc, p)
	why := map[string]string{}
	for _, w := range doc.Waiting {
		why[w.TaskName] = w.Reason
	}
	rows := make([][]string, len(doc.Tasks))
	for i, t := range doc.Tasks {
		status := p.status(string(t.Status))
		if t.SubStatus != tasks.NoSubStatus {
			status += "/" + string(t.SubStatus)
		}
		v := view{now: doc.now}
		note := why[t.TaskName]
		if note == "" {
			note = firstLine(string(t.Error), 80)
		}
		rows[i] = []string{t.TaskName, status, attempts(t), moment(t.StartedAt), taskTime(t, v), string(t.WorkerID), note}
	}
	fmt.Fprintln(c.stdout)
	printTable(c.stdout, []string{"task", "status", "attempt", "started", "time", "worker", ""}, rows)
	for _, a := range doc.Attempts {
		c.printAttempt(a, logs, p)
	}
	if doc.history.truncated {
		fmt.Fprintf(c.stdout, "\n%s removed by retention (`sluice cleanup-events`): the attempts are not known any more\n", counted(doc.Execution.EventsRemoved, "event"))
	}
	c.printNext(doc)
}

func (c *cli) printExecution(doc showDocument, p paint) {
	x := doc.Execution
	took := between(x.CreatedAt, x.CompletedAt)
	if !x.Status.Terminal() {
		took = span(doc.now.Sub(x.CreatedAt.Time)) + " so far"
	}
	counts := map[tasks.Status]int{}
	for _, t := range doc.Tasks {
		counts[t.Status]++
	}
	field := func(name, value string) {
		if value != "" {
			fmt.Fprintf(c.stdout, "%-10s %s\n", name, value)
		}
	}
	fmt.Fprintf(c.stdout, "%s %s\n", x.PipelineName, p.status(string(x.Status)))
	field("id", x.ID.String())
	field("started", moment(x.CreatedAt)+", "+took)
	field("tasks", tally(counts))
	if x.Status == pipelines.Paused {
		field("paused", doc.history.pausedBy())
	}
	field("definition", x.DefinitionVersion)
	field("key", string(x.IdempotencyKey))
	if s := string(x.Input); s != "{}" {
		field("input", s)
	}
	field("error", strings.TrimSpace(indent(string(x.Error), "           ")))
}

// printAttempt tells of an attempt that did not go well, or, asked for logs, of every one that wrote something.
func (c *cli) printAttempt(a attempt, logs bool, p paint) {
	bad := a.Error != ""
	wrote := a.Stdout != "" || a.Stderr != ""
	if !bad && (!logs || !wrote) {
		return
	}
	fmt.Fprintf(c.stdout, "\n%s attempt %d %s %s %s\n", a.TaskName, a.Attempt, p.status(a.Status), moment(a.EndedAt), between(a.StartedAt, a.EndedAt))
	if bad {
		fmt.Fprintln(c.stdout, indent(string(a.Error), "  "))
	}
	for _, s := range []struct{ name, text string }{{"stdout", a.Stdout}, {"stderr", a.Stderr}} {
		if s.text == "" {
			continue
		}
		text := s.text
		if !logs {
			text = lastLines(text, 20)
		}
		fmt.Fprintln(c.stdout, indent(text, "  "+s.name+" | "))
	}
}

// lastLines is the end of a text.
func lastLines(s string, most int) string {
	all := strings.Split(strings.TrimRight(s, "\n"), "\n")
	if len(all) <= most {
		return s
	}
	left := len(all) - most
	return fmt.Sprintf("… %s above: --logs\n", counted(int64(left), "line")) + strings.Join(all[left:], "\n")
}

// printNext says what to do about an execution.
func (c *cli) printNext(doc showDocument) {
	id := doc.Execution.ID
	if doc.history.truncated {
		// Without its history it can be neither retried nor told of.
		fmt.Fprintf(c.stdout, "\nnext: sluice start %s\n", doc.Execution.PipelineName)
		return
	}
	switch doc.Execution.Status {
	case pipelines.Failed, pipelines.Cancelled:
		fmt.Fprintf(c.stdout, "\nnext: sluice retry %s\n", id)
	case pipelines.Paused:
		fmt.Fprintf(c.stdout, "\nnext: sluice resume %s\n", id)
	case pipelines.Completed, pipelines.Running:
		fmt.Fprintf(c.stdout, "\nnext: sluice events --pipeline-execution %s\n", id)
	}
}
