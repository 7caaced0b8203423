package audit

import (
	"fmt"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/tasks"
)

// graph holds the dependencies between a pipeline's tasks, from the events of their creation.
type graph struct {
	known  bool // whether the dependencies of every task are known
	byName map[string]*task
	x      *pipeline
}

func newGraph(x *pipeline) *graph {
	g := &graph{known: true, x: x}
	edges := false
	for _, t := range x.tasks {
		g.known = g.known && t.fold.status != ""
		edges = edges || len(t.fold.needs) > 0
	}
	if edges {
		g.byName = make(map[string]*task, len(x.tasks))
		for _, t := range x.tasks {
			g.byName[t.name] = t
		}
	}
	return g
}

// needs counts the dependencies of a task by how they ended.
type needs struct {
	good, bad, skipped, open int
}

// needs counts the dependencies of a task. It returns nil if they are not known or do not exist.
func (g *graph) needs(t *task) *needs {
	if t.fold.status == "" {
		return nil
	}
	n := &needs{}
	for _, name := range t.fold.needs {
		d, ok := g.byName[name]
		if !ok {
			return nil
		}
		n.count(d.status, d.skipReason)
	}
	return n
}

// missing lists the dependencies of a task that are not tasks of its pipeline.
func (g *graph) missing(t *task) (names []string) {
	for _, name := range t.fold.needs {
		if _, ok := g.byName[name]; !ok {
			names = append(names, name)
		}
	}
	return names
}

// culprit returns a task whose failure makes the pipeline fail, or nil if there is none.
func (x *pipeline) culprit() *task {
	for _, t := range x.tasks {
		if (t.status == tasks.Failed || t.status == tasks.Abandoned) && !t.fold.forgiven {
			return t
		}
	}
	return nil
}

// checkPastEnd checks a completion before the first event that was written after it, usually of a retry, because the
// rows show only the last end. The events of the end's own transaction have its time and may come in any order.
func (x *pipeline) checkPastEnd(next *event) {
	if x.fold.status != completed || x.pastEnd == x.history.count || next.at.v <= x.fold.ended.v {
		return
	}
	x.pastEnd = x.history.count
	for _, t := range x.tasks {
		bad := t.fold.status == tasks.Failed || t.fold.status == tasks.Abandoned
		if bad && !t.fold.forgiven && len(t.history.found) == 0 {
			x.history.found = append(x.history.found, breachAt{
				problem: problem{
					I6, fmt.Sprintf("%s, though task %s was %s and does not say continue_on_error",
						events.PipelineCompleted, short(t.fold.name), t.fold.status), string(events.PipelineFailed),
				},
				events: x.history.refs(),
			})
			return
		}
	}
}

// givenUp reports whether a pipeline was ended from outside, for example because its definition is missing. Its error
// is then that of its tasks.
func (x *pipeline) givenUp() bool {
	for _, t := range x.tasks {
		if t.status == tasks.Abandoned && t.err == x.err {
			return true
		}
	}
	return false
}
