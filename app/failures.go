package app

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sluiceworks/sluice/modules/inspect"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/terminal"
)

// failedTask is a task that failed or was abandoned.
type failedTask struct {
	inspect.Failure
	Logs string `json:"logs"` // the command that shows its output
}

// Bounds of the failures and waits that are shown first.
const (
	maxFailures = 5
	maxWaits    = 3
)

// failures lists the tasks of a run that failed, with the commands that show their output.
func (c *cli) failures(run *inspect.Run) []failedTask {
	list := []failedTask{}
	for _, f := range run.Failures() {
		logs := fmt.Sprintf("%s logs %s %s --attempt %d", c.program, run.Execution.ID, f.TaskName, f.Attempt)
		list = append(list, failedTask{f, logs})
	}
	return list
}

// printFailures prints what failed and why, and the command that shows the logs.
func (c *cli) printFailures(list []failedTask, x pipelines.Execution) {
	for _, f := range list[:min(len(list), maxFailures)] {
		text := fmt.Sprintf("%s (attempt %s)", f.TaskName, attempts(f.Task))
		if f.ExitCode != nil && !strings.Contains(string(f.Error), "exit code") {
			text += fmt.Sprintf(", exit code %d", *f.ExitCode)
		}
		if f.ContinueOnError {
			text += ", after which the run continues"
		}
		fmt.Fprintf(c.stdout, "%-10s %s: %s\n", "failed", terminal.Inline(text), terminal.Inline(string(f.Error)))
	}
	if left := len(list) - maxFailures; left > 0 {
		fmt.Fprintf(c.stdout, "%-10s and %s\n", "", counted(int64(left), "more task"))
	}
	if len(list) > 0 {
		fmt.Fprintf(c.stdout, "%-10s %s logs %s --failed\n", "logs", c.program, x.ID)
	}
}

// waitsFor says what an execution waits for while none of its tasks runs: the reasons of its tasks that need only a
// worker, a time or a decision.
func (doc *showDocument) waitsFor() []string {
	if doc.Execution.Status.Terminal() {
		return nil
	}
	status := doc.run.Statuses()
	reasons, names := []string{}, map[string][]string{}
	for _, w := range doc.Waiting {
		if status[w.TaskName] == tasks.NotStarted {
			continue // for other tasks
		}
		if len(names[w.Reason]) == 0 {
			reasons = append(reasons, w.Reason)
		}
		names[w.Reason] = append(names[w.Reason], w.TaskName)
	}
	var out []string
	if doc.started.IsZero() {
		out = append(out, "for "+span(doc.now.Sub(doc.Execution.CreatedAt.Time))+": no task has started")
	}
	for _, reason := range reasons[:min(len(reasons), maxWaits)] {
		list := names[reason]
		text := strings.Join(list[:min(len(list), maxWaits)], ", ")
		if left := len(list) - maxWaits; left > 0 {
			text += fmt.Sprintf(" and %d more", left)
		}
		out = append(out, text+": "+reason)
	}
	return out
}

// took says when the first task started, how long the execution had waited for that, and how long it has taken since.
// It returns "" if none has started.
func (doc *showDocument) took() string {
	if doc.started.IsZero() {
		return ""
	}
	text := moment(doc.started) + ", " + between(doc.Execution.CreatedAt, doc.started) + " after its creation, "
	if doc.Execution.Status.Terminal() {
		return text + "took " + between(doc.started, doc.Execution.CompletedAt)
	}
	return text + span(doc.now.Sub(doc.started.Time)) + " so far"
}

// labelWords writes labels, sorted by name.
func labelWords(labels map[string]string) []string {
	out := []string{}
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		out = append(out, name+"="+labels[name])
	}
	return out
}
