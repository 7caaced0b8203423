package app

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/dbtype"
	"github.com/sluiceworks/sluice/platform/terminal"
)

// failedTask is a task that failed or was abandoned.
type failedTask struct {
	TaskName        string       `json:"id"`
	Status          tasks.Status `json:"status"`
	Attempt         int          `json:"attempt"`
	Error           dbtype.Text  `json:"error"` // its most informative line
	ErrorKind       dbtype.Text  `json:"error_kind"`
	ExitCode        *int         `json:"exit_code"`
	ContinueOnError bool         `json:"continue_on_error"` // its failure does not make the run fail
	Root            bool         `json:"root"`              // nothing upstream has failed
	Logs            string       `json:"logs"`              // the command that shows its output

	of tasks.Task
}

// Bounds of the failures and waits that are shown first.
const (
	maxFailures = 5
	maxWaits    = 3
)

// failures lists the tasks that failed. Tasks that make the run fail come first, and among them those without a
// failed task upstream. Otherwise they are in the order in which they ended.
func (h *attemptHistory) failures(all []tasks.Task) []failedTask {
	bad := func(t tasks.Task) bool { return t.Status == tasks.Failed || t.Status == tasks.Abandoned }
	byName := make(map[string]tasks.Task, len(all))
	for _, t := range all {
		byName[t.TaskName] = t
	}
	below := map[string]bool{} // by name: something upstream has failed
	var visit func(t tasks.Task) bool
	visit = func(t tasks.Task) bool {
		known, seen := below[t.TaskName]
		if seen {
			return known
		}
		below[t.TaskName] = false
		for _, need := range h.needs[t.ID] {
			if above, ok := byName[need]; ok && (visit(above) || bad(above)) {
				below[t.TaskName] = true
			}
		}
		return below[t.TaskName]
	}
	list := []failedTask{}
	for _, t := range all {
		if !bad(t) {
			continue
		}
		f := failedTask{
			TaskName: t.TaskName, Status: t.Status, Attempt: t.Attempt, Error: dbtype.Text(errorLine(string(t.Error), 500)),
			ContinueOnError: h.continues[t.ID], Root: !visit(t), of: t,
		}
		if a := h.current[t.ID]; a != nil {
			f.ErrorKind, f.ExitCode = a.ErrorKind, a.ExitCode
		}
		list = append(list, f)
	}
	number := map[bool]int{true: 1}
	slices.SortStableFunc(list, func(a, b failedTask) int {
		return cmp.Or(cmp.Compare(number[a.ContinueOnError], number[b.ContinueOnError]), cmp.Compare(number[b.Root], number[a.Root]),
			a.of.CompletedAt.Compare(b.of.CompletedAt.Time))
	})
	return list
}

// printFailures prints what failed and why, and the command that shows the logs.
func (c *cli) printFailures(list []failedTask, x pipelines.Execution) {
	for _, f := range list[:min(len(list), maxFailures)] {
		text := fmt.Sprintf("%s (attempt %s)", f.TaskName, attempts(f.of))
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

// cancelledBy says who cancelled the execution and why. It returns "" if nobody did.
func (h *attemptHistory) cancelledBy(x pipelines.Execution) string {
	if x.Status != pipelines.Cancelled || h.cancelled.EventType == "" {
		return ""
	}
	s, err := describeEvent(h.cancelled)
	if err != nil {
		return ""
	}
	text := "at " + moment(h.cancelled.CreatedAt)
	if h.cancelled.Actor != "" {
		text = "by " + string(h.cancelled.Actor) + " " + text
	}
	if s.text != "" {
		text += ": " + s.text
	}
	return text
}

// waitsFor says what an execution waits for while none of its tasks runs: the reasons of its tasks that need only a
// worker, a time or a decision.
func (doc *showDocument) waitsFor() []string {
	if doc.Execution.Status.Terminal() {
		return nil
	}
	status := statusesOf(doc.Tasks)
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
