package app

import (
	"fmt"
	"strings"

	"github.com/sluiceworks/sluice/modules/inspect"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/terminal"
)

func (c *cli) printShow(doc showDocument, f showFlags) {
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
		v := runView{now: doc.now}
		note := why[t.TaskName]
		if note == "" {
			note = errorLine(string(t.Error), 80)
		}
		rows[i] = []string{
			t.TaskName, status, attempts(t), moment(t.StartedAt), taskTime(t, v), string(t.WorkerID),
			note,
		}
	}
	fmt.Fprintln(c.stdout)
	printFitted(c.stdout, []string{"task", "status", "attempt", "started", "time", "worker", ""}, rows, "", "worker")
	for _, a := range doc.Attempts {
		c.printAttempt(a, f.logs, p)
	}
	if doc.Execution.EventsRemoved > 0 {
		fmt.Fprintf(c.stdout, "\n%s removed by retention: the attempts are not known any more\n",
			counted(doc.Execution.EventsRemoved, "event"))
	}
	if at := doc.Execution.OutputsRemovedAt; !at.IsZero() {
		fmt.Fprintf(c.stdout, "\nretention removed the outputs of the tasks on %s\n", moment(at))
	}
	if at := doc.Execution.LogsRemovedAt; !at.IsZero() {
		fmt.Fprintf(c.stdout, "\nretention removed what the attempts wrote on %s\n", moment(at))
	}
	if f.timeline != timelineNone {
		c.printTimeline(doc, f.timeline)
	}
	c.printNext(doc)
}

func (c *cli) printExecution(doc showDocument, p paint) {
	x := doc.Execution
	counts := map[tasks.Status]int{}
	for _, t := range doc.Tasks {
		counts[t.Status]++
	}
	lines := func(name, value string) {
		if value != "" {
			fmt.Fprintf(c.stdout, "%-10s %s\n", name, value)
		}
	}
	field := func(name, value string) { lines(name, terminal.Inline(value)) }
	fmt.Fprintf(c.stdout, "%s %s\n", terminal.Inline(x.PipelineName), p.status(progressOf(x, doc.started)))
	c.printFailures(doc.failures, x)
	field("cancelled", doc.run.CancelledBy())
	for _, line := range doc.waitsFor() {
		field("waiting", line)
	}
	field("id", x.ID.String())
	field("labels", strings.Join(labelWords(x.Labels), ", "))
	if doc.At != nil {
		field("as of", doc.At.String())
		field("claimable", doc.At.claimable())
	}
	field("created", moment(x.CreatedAt))
	field("started", doc.took())
	field("tasks", tally(counts))
	if x.Status == pipelines.Paused {
		field("paused", doc.run.PausedBy())
	}
	if !x.DeadlineAt.IsZero() {
		field("timeout", "ends the run at "+moment(x.DeadlineAt))
	}
	field("definition", x.DefinitionVersion)
	field("key", string(x.IdempotencyKey))
	if s := string(x.Input); s != "{}" {
		field("input", s)
	}
	lines("error", strings.TrimSpace(indent(string(x.Error), "           ")))
}

// printAttempt prints an attempt that failed, or with logs set, every attempt that wrote something.
func (c *cli) printAttempt(a inspect.Attempt, logs bool, p paint) {
	bad := a.Error != ""
	wrote := a.Stdout != "" || a.Stderr != ""
	if !bad && (!logs || !wrote) {
		return
	}
	fmt.Fprintf(c.stdout, "\n%s attempt %d %s %s %s\n", terminal.Inline(a.TaskName), a.Number, p.status(a.Status),
		moment(a.EndedAt), between(a.StartedAt, a.EndedAt))
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

// lastLines returns the last lines of a text.
func lastLines(s string, most int) string {
	all := strings.Split(strings.TrimRight(s, "\n"), "\n")
	if len(all) <= most {
		return s
	}
	left := len(all) - most
	return fmt.Sprintf("… %s above: --logs\n", counted(int64(left), "line")) + strings.Join(all[left:], "\n")
}

// printNext prints what to do next about an execution.
func (c *cli) printNext(doc showDocument) {
	id := doc.Execution.ID
	if doc.At != nil {
		fmt.Fprintf(c.stdout, "\nnext: %s show %s\n", c.program, id)
		return
	}
	if doc.Execution.EventsRemoved > 0 {
		// Without its history it can be neither retried nor described.
		fmt.Fprintf(c.stdout, "\nnext: %s start %s\n", c.program, terminal.Inline(doc.Execution.PipelineName))
		return
	}
	switch doc.Execution.Status {
	case pipelines.Failed, pipelines.Cancelled:
		fmt.Fprintf(c.stdout, "\nnext: %s retry %s\n", c.program, id)
	case pipelines.Paused:
		fmt.Fprintf(c.stdout, "\nnext: %s resume %s\n", c.program, id)
	case pipelines.Completed, pipelines.Running:
		fmt.Fprintf(c.stdout, "\nnext: %s events --pipeline-execution %s\n", c.program, id)
	}
}
