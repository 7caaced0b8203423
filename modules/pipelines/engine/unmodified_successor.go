package engine

import (
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/tasks"
)

// An optimisation: chains run 7 % faster because the row of a successor is computed instead of read (ADR 13). Nothing
// else depends on it.

// firstRunVersion is the version of a task whose first attempt runs: after created, ready, claimed, started.
const firstRunVersion = 4

// unmodifiedSuccessor returns the initial row of a dependent that cannot have changed since its creation, because it
// depends only on the ended task and that has run once. If the row did change, a version conflict results.
func (g *executionOutcomes) unmodifiedSuccessor(ended *tasks.Task, dependent string) (t tasks.Task, known bool) {
	i, from := g.def.IndexOf(dependent), g.def.IndexOf(ended.TaskName)
	if ended.Version != firstRunVersion || from < 0 || i < 0 || len(g.def.Tasks[i].Needs) != 1 ||
		ended.ID != g.id.Offset(from+1) {
		return t, false
	}
	n := pipelines.NewTaskSpec(g.id, g.def, i)
	return n.InitialRow(), true
}
