package audit

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// report adds a breach of a pipeline, or of one of its tasks.
func (p *page) report(x *pipeline, t *task, b breachAt) {
	breach := Violation{
		Invariant: b.invariant, PipelineExecutionID: x.id, Found: b.found, Expected: b.expected,
		Events: b.events,
	}
	if t != nil {
		breach.TaskExecutionID, breach.TaskName = t.id, t.name
	}
	p.run.add(breach)
}

// checkPipeline reports the breaches of a pipeline and its tasks. First come those of each row and its own history,
// and then those between rows, which often follow from the first.
func (p *page) checkPipeline(x *pipeline) {
	now := func(invariant, found, expected string) {
		p.report(x, nil, breachAt{problem: problem{invariant, found, expected}, events: x.history.refs()})
	}
	if x.bad != nil {
		now(Data, strings.Join(x.bad, "; "), "readable columns")
	}
	if x.outputsGone.set {
		p.run.report.NoOutputs++
		if !x.status.terminal() {
			now(Data, "outputs removed at "+x.outputsGone.instant()+", and it is "+orNull(string(x.status)),
				"retention takes outputs of ended executions alone, and none is run again after that")
		}
	}
	same := false
	if x.retained() {
		p.run.report.Retained++
		x.checkRetained(now)
	} else {
		same = x.history.finish(x.version)
		for _, b := range x.history.found {
			p.report(x, nil, b)
		}
		if c := x.compare(); same && c != nil {
			now(c.invariant, c.found, c.expected)
		}
	}
	if x.seal != "" {
		p.run.report.Seals++
		p.checkSeal(x, now)
	}
	for _, t := range x.tasks {
		p.checkTask(x, t)
	}
	p.checkTogether(x, same, now)
}

// checkTogether reports the breaches between rows. same says that the pipeline's history is complete and legal.
func (p *page) checkTogether(x *pipeline, same bool, now func(invariant, found, expected string)) {
	g := newGraph(x)
	for _, t := range x.tasks {
		p.checkPosition(x, t, g.needs(t))
		for _, name := range g.missing(t) {
			p.report(x, t, breachAt{problem: problem{I7, "it depends on the task " + short(name) +
				", which does not exist", "each dependency is a task of its pipeline"}, events: t.history.refs()})
		}
	}
	if same {
		x.checkEndCounts(now)
	}
	x.checkCounts(now)
	x.checkSettled(g, now)
}

// checkEndCounts compares the numbers of tasks with those in the pipeline's complete history.
func (x *pipeline) checkEndCounts(now func(invariant, found, expected string)) {
	if f := &x.fold; f.status != "" && f.taskCount != int64(len(x.tasks)) {
		now(I7, fmt.Sprintf("%d tasks", len(x.tasks)), fmt.Sprintf("%d, as pipeline_started says", f.taskCount))
	}
	if x.fold.counts == nil {
		return
	}
	counts := map[string]int64{}
	for _, t := range x.tasks {
		counts[string(t.status)]++
	}
	if !maps.Equal(counts, withoutZeros(x.fold.counts)) {
		now(I7, "tasks by status: "+countsText(counts), countsText(x.fold.counts)+", as the event of its end says")
	}
}

// countsText writes numbers by status in the order of the lifecycle, followed by names that are not statuses.
func countsText(counts map[string]int64) string {
	var parts []string
	rest := withoutZeros(counts)
	for _, s := range tasks.Statuses() {
		if n := rest[string(s)]; n != 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, s))
		}
		delete(rest, string(s))
	}
	for _, name := range slices.Sorted(maps.Keys(rest)) {
		parts = append(parts, fmt.Sprintf("%d %s", rest[name], orNull(name)))
	}
	if parts == nil {
		return "none"
	}
	return strings.Join(parts, ", ")
}

func withoutZeros(counts map[string]int64) map[string]int64 {
	out := maps.Clone(counts)
	maps.DeleteFunc(out, func(_ string, n int64) bool { return n == 0 })
	return out
}

// compare checks I2 of a pipeline.
func (x *pipeline) compare() *problem {
	var c comparison
	f := &x.fold
	c.text("status", string(x.status), string(f.status))
	c.text("pipeline_name", x.name, f.name)
	c.text("definition_version", x.definition, f.definition)
	c.text("error", x.err, f.err)
	c.number("attempt", x.attempt, f.attempt)
	c.instant("created_at", x.created, f.created)
	c.instant("completed_at", x.ended, f.ended)
	c.instant("paused_at", x.pausedAt, f.pausedAt)
	return c.problem()
}

// checkRetained checks that retention removed only whole histories of ended executions.
func (x *pipeline) checkRetained(now func(invariant, found, expected string)) {
	if !x.status.terminal() {
		now(I1, "events removed, and it is "+orNull(string(x.status)),
			"retention takes events of ended executions alone")
		return
	}
	steps, left := x.version.v, x.history.total
	for _, t := range x.tasks {
		steps += t.version.v
		left += t.history.total
	}
	if int64(left) >= steps || x.removed.v+int64(left) < steps {
		now(I1, fmt.Sprintf("events_removed %d, and %d events left of %d transitions", x.removed.v, left, steps),
			"as many removed as are missing")
	}
}

// checkCounts checks I7 of a pipeline.
func (x *pipeline) checkCounts(now func(invariant, found, expected string)) {
	open, unsuccessful := int64(0), int64(0)
	for _, t := range x.tasks {
		switch {
		case !t.status.Terminal():
			open++
		case t.status != tasks.Completed:
			unsuccessful++
		}
	}
	if !x.open.bad && x.open != some(open) {
		now(I7, "open_tasks "+x.open.String(), fmt.Sprintf("%d: so many of its tasks are not terminal", open))
	}
	if !x.unsuccessful.bad && x.unsuccessful != some(unsuccessful) {
		now(I7, "unsuccessful_tasks "+x.unsuccessful.String(),
			fmt.Sprintf("%d: so many of its tasks have ended otherwise than Completed", unsuccessful))
	}
}

// checkSettled checks I6: a pipeline has ended if and only if its tasks have, and its status follows from theirs.
func (x *pipeline) checkSettled(g *graph, now func(invariant, found, expected string)) {
	open := ""
	for _, t := range x.tasks {
		if !t.status.Terminal() {
			open = fmt.Sprintf("task %s is %s", short(t.name), orNull(string(t.status)))
			break
		}
	}
	switch {
	case x.status.open() && open == "":
		now(I6, fmt.Sprintf("%s, and none of its %d tasks can still run", x.status, len(x.tasks)),
			"Completed, Failed or Cancelled")
		return
	case x.status.terminal() && open != "":
		now(I6, fmt.Sprintf("%s, and its %s", x.status, open), "Running or Paused")
		return
	case !x.status.open() && !x.status.terminal():
		now(I6, "the unknown status "+orNull(string(x.status)), "Running, Paused, Completed, Failed or Cancelled")
		return
	}
	if x.status != completed && x.status != failed || !g.known {
		return
	}
	culprit := x.culprit()
	switch {
	case x.status == completed && culprit != nil:
		now(I6, fmt.Sprintf("Completed, though task %s is %s and does not say continue_on_error", short(culprit.name),
			culprit.status), "Failed")
	case x.status == failed && culprit == nil && !x.givenUp():
		now(I6, "Failed, though every task that failed says continue_on_error", "Completed")
	}
}

// checkForeignTasks looks up tasks that the pipeline's events name but that do not belong to it.
func (p *page) checkForeignTasks(x *pipeline) error {
	for _, id := range sorted(x.foreignTasks) {
		s := x.foreignTasks[id]
		var owner dbtype.ID
		query := fmt.Sprintf("SELECT pipeline_execution_id FROM %s WHERE id = ?", table(p.g, "task_executions"))
		err := scan(p.g, []string{"pipeline_execution_id"}, query, []any{id}, func(r *rawRow) { owner = r.id(0) })
		if err != nil {
			return fmt.Errorf("look up task %s: %w", id, err)
		}
		b := Violation{
			Invariant: Data, PipelineExecutionID: x.id, TaskExecutionID: id,
			Found:    fmt.Sprintf("%s of a task that does not exist", plural(s.events, "event")),
			Expected: "no event outlives its task", Events: []EventRef{s.first},
		}
		if !owner.IsZero() {
			b.Invariant, b.Expected = I3, "each event names the pipeline of its task"
			b.Found = fmt.Sprintf("%s of a task that belongs to pipeline execution %s", plural(s.events, "event"),
				owner)
		}
		p.run.add(b)
	}
	return nil
}

// checkOrphanRows reports tasks and events of pipelines that do not exist.
func (p *page) checkOrphanRows() {
	for _, id := range sorted(p.lost) {
		l := p.lost[id]
		what := fmt.Sprintf("%s and %s of a pipeline execution that does not exist", plural(l.tasks, "task"),
			plural(l.events, "event"))
		p.run.add(Violation{
			Invariant: Data, PipelineExecutionID: id, Found: what,
			Expected: "tasks and events belong to a pipeline execution", Events: l.first,
		})
	}
}

// sorted returns the ids in order, so that two reports of the same breaches are equal.
func sorted[V any](m map[dbtype.ID]V) []dbtype.ID {
	return slices.SortedFunc(maps.Keys(m), func(a, b dbtype.ID) int { return bytes.Compare(a[:], b[:]) })
}
