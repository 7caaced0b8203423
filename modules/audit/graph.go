package audit

import "github.com/sluiceworks/sluice/modules/tasks"

// graph is the dependencies between a pipeline's tasks, as the events of their creation tell them.
type graph struct {
	known  bool // of every task
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

// needs counts the dependencies of a task that are not terminal, and lists how all of them stand. The count is -1 where the
// dependencies are not known or not there.
func (g *graph) needs(t *task) (open int, ends []tasks.Status) {
	if t.fold.status == "" {
		return -1, nil
	}
	for _, name := range t.fold.needs {
		d, ok := g.byName[name]
		if !ok {
			return -1, nil
		}
		if !d.status.Terminal() {
			open++
		}
		ends = append(ends, d.status)
	}
	return open, ends
}

// missing lists the dependencies of a task that are no tasks of its pipeline.
func (g *graph) missing(t *task) (names []string) {
	for _, name := range t.fold.needs {
		if _, ok := g.byName[name]; !ok {
			names = append(names, name)
		}
	}
	return names
}

// unhandled gives a task that failed or was abandoned, and no direct dependent that asks for failure has completed; nil if
// there is none.
func (g *graph) unhandled() *task {
	handled := map[string]bool{}
	for _, t := range g.x.tasks {
		if t.status == tasks.Completed && asksForFailure(t.fold.rule) {
			for _, name := range t.fold.needs {
				handled[name] = true
			}
		}
	}
	for _, t := range g.x.tasks {
		if (t.status == tasks.Failed || t.status == tasks.Abandoned) && !handled[t.name] {
			return t
		}
	}
	return nil
}
