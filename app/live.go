package app

import (
	"fmt"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/terminal"
)

// live shows progress on a terminal, as a table that is redrawn in place.
type live struct {
	out   *terminal.Writer
	size  func() (width, height int)
	paint paint
	def   *definition.Definition
	again func(string) string // adds the shared flags to the commands in a text
	drawn int                 // lines on the screen
	last  []outputLine
}

// maxLastLines is how many lines of output are shown under the progress.
const maxLastLines = 8

func newLive(out *terminal.Writer, p paint, def *definition.Definition, again func(string) string) *live {
	size := func() (int, int) {
		width, height, ok := out.Size()
		if !ok || width < 20 || height < 5 {
			return 80, 24
		}
		return width, height
	}
	return &live{out: out, size: size, paint: p, def: def, again: again}
}

func (l *live) every() time.Duration { return 80 * time.Millisecond }

func (l *live) show(v runView) error {
	width, height := l.size()
	l.last = append(l.last, v.output...)
	l.last = l.last[max(len(l.last)-maxLastLines, 0):]
	picture := l.draw(v, width, height)
	up := ""
	if l.drawn > 0 {
		up = fmt.Sprintf("\x1b[%dA\r\x1b[J", l.drawn)
	}
	l.drawn = strings.Count(picture, "\n")
	return l.out.Redraw(up, picture)
}

// draw returns the lines of the picture. None is wider than the terminal, and there are fewer than its height. If
// there is no room for all tasks, active tasks come before waiting ones, and those before ended ones.
func (l *live) draw(v runView, width, height int) string {
	last := l.last[max(len(l.last)-max(height-4, 0)/2, 0):]
	chosen, left := choose(v.tasks, height-4-len(last))
	rows := make([][]string, len(chosen))
	for i, t := range chosen {
		rows[i] = []string{t.TaskName, l.paint.status(string(t.Status)), attempts(t), taskTime(t, v), l.note(t, v)}
	}
	done := 0
	for _, t := range v.tasks {
		if t.Status.Terminal() {
			done++
		}
	}
	head := fmt.Sprintf("%s  %s  %d of %s done  %s", v.execution.PipelineName,
		l.paint.status(string(v.execution.Status)), done,
		counted(int64(len(v.tasks)), "task"), span(v.now.Sub(v.execution.CreatedAt.Time)))
	if v.execution.Status == pipelines.Paused {
		head += l.again("  `sluice resume " + v.execution.ID.String() + "`")
	}
	picture := text.Snip(terminal.Inline(head), width-1, "…") + "\n" +
		renderTable([]string{"task", "status", "attempt", "time", ""}, rows, width-1) + "\n"
	if left > 0 {
		picture += fmt.Sprintf("… %s\n", counted(int64(left), "more task"))
	}
	for _, o := range last {
		picture += text.Snip(terminal.Inline(o.String()), width-1, "…") + "\n"
	}
	return picture
}

// choose returns at most most tasks in their order, and how many it left out.
func choose(list []tasks.Task, most int) (chosen []tasks.Task, left int) {
	if len(list) <= most {
		return list, 0
	}
	rank := func(t tasks.Task) int {
		switch t.Status {
		case tasks.Running:
			return 0
		case tasks.Failed, tasks.Abandoned:
			return 1
		case tasks.Ready:
			return 2
		case tasks.NotStarted:
			return 3
		}
		return 4
	}
	free := max(most-1, 1) // a line says how many are left out
	keep := make([]bool, len(list))
	for r, n := 0, 0; r <= 4 && n < free; r++ {
		for i, t := range list {
			if n < free && rank(t) == r {
				keep[i] = true
				n++
			}
		}
	}
	for i, t := range list {
		if keep[i] {
			chosen = append(chosen, t)
		}
	}
	return chosen, len(list) - len(chosen)
}

// note says what a task waits for, or what went wrong.
func (l *live) note(t tasks.Task, v runView) string {
	switch {
	case t.Status == tasks.NotStarted:
		return "waits for " + strings.Join(openNeeds(l.def, t.TaskName, v.tasks), ", ")
	case t.SubStatus == tasks.Deferred:
		return "deferred, again in " + span(t.RetryAt.Sub(v.now))
	case t.Status == tasks.Ready && t.RetryAt.After(v.now):
		return "again in " + span(t.RetryAt.Sub(v.now)) + ": " + errorLine(string(t.Error), 60)
	case t.Status == tasks.Ready:
		return "waits for a free worker slot"
	}
	return errorLine(string(t.Error), 100)
}

// openNeeds lists the dependencies of a task that have not ended.
func openNeeds(def *definition.Definition, name string, list []tasks.Task) []string {
	t, ok := def.Task(name)
	if !ok {
		return nil
	}
	ended := map[string]bool{}
	for _, other := range list {
		ended[other.TaskName] = other.Status.Terminal()
	}
	var open []string
	for _, need := range t.Needs {
		if !ended[need] {
			open = append(open, need)
		}
	}
	return open
}

func attempts(t tasks.Task) string {
	if t.Attempt == 0 {
		return ""
	}
	return fmt.Sprintf("%d/%d", t.Attempt, t.MaxAttempts+t.Recoveries)
}

// taskTime returns how long the last attempt took, or has taken so far.
func taskTime(t tasks.Task, v runView) string {
	switch {
	case t.Attempt == 0:
		return ""
	case t.Status == tasks.Running:
		return span(v.now.Sub(t.StartedAt.Time))
	case t.Status.Terminal():
		return between(t.StartedAt, t.CompletedAt)
	}
	return ""
}
