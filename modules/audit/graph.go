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

// needs is how the dependencies of a task stand.
type needs struct {
	good, bad, skipped, open int
}

// needs counts the dependencies of a task; nil where they are not known or not there.
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

// missing lists the dependencies of a task that are no tasks of its pipeline.
func (g *graph) missing(t *task) (names []string) {
	for _, name := range t.fold.needs {
		if _, ok := g.byName[name]; !ok {
			names = append(names, name)
		}
	}
	return names
}

// culprit gives a task whose failure makes the pipeline fail; nil if there is none.
func (x *pipeline) culprit() *task {
	for _, t := range x.tasks {
		if (t.status == tasks.Failed || t.status == tasks.Abandoned) && !t.fold.forgiven {
			return t
		}
	}
	return nil
}

// givenUp reports a pipeline that was ended from outside, such as for a definition that is gone: its error is that of its tasks.
func (x *pipeline) givenUp() bool {
	for _, t := range x.tasks {
		if t.status == tasks.Abandoned && t.err == x.err {
			return true
		}
	}
	return false
}
