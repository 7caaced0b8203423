package pipelines

import (
	"fmt"

	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/tasks"
)

// resetTasks plans an operator's retry; see tasksToReset. The plan must have the full graph. It returns the names of
// the tasks that it reopens, or ErrInvalidState if there are none or if from would be skipped again.
func (p *plan) resetTasks(from string) ([]string, error) {
	chosen, err := p.tasksToReset(from)
	if err != nil {
		return nil, err
	}
	var names []string
	for i := range p.def.Tasks {
		if name := p.def.Tasks[i].ID; chosen[name] {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%w: no task of pipeline execution %s can be run again", ErrInvalidState, p.execution.ID)
	}
	open := func(name string) bool { return chosen[name] || !p.nodes[name].task.Status.Terminal() }
	for i := range p.def.Tasks {
		t := &p.def.Tasks[i]
		n, remaining := p.nodes[t.ID], 0
		for _, need := range t.Needs {
			if open(need) {
				remaining++
			}
		}
		n.task.RemainingDependencies = remaining
		if chosen[t.ID] {
			p.record(n, n.task.Reopen(t.Retry.MaxAttempts, remaining))
		}
	}
	for _, name := range names {
		if n := p.nodes[name]; n.task.Status == tasks.NotStarted {
			t, _ := p.def.Task(name)
			if err := p.resolve(n, t, p.endedOf(t)); err != nil {
				return nil, err
			}
		}
	}
	if err := p.notifyDependents(); err != nil {
		return nil, err
	}
	if from != "" && p.nodes[from].task.Status == tasks.Skipped {
		return nil, fmt.Errorf("%w: task %q would be skipped again, for what it needs has not gone as its rule asks: retry from there", ErrInvalidState, from)
	}
	return names, nil
}

// endedOf counts the statuses of a task's dependencies. The plan must have the full graph.
func (p *plan) endedOf(t *definition.Task) (deps definition.Ended) {
	for _, name := range t.Needs {
		n := p.nodes[name]
		deps.Add(n.task.Status, n.task.SkipReason)
	}
	return deps
}

// tasksToReset returns the tasks to reopen: the task from or, if that is empty, all Failed and Abandoned tasks; all
// Cancelled tasks; and all tasks that depend on one of these, even if completed, because clean-up tasks and alerts must
// run after each run of their dependencies. It returns tasks.ErrNotFound if from does not exist.
func (p *plan) tasksToReset(from string) (map[string]bool, error) {
	chosen := map[string]bool{}
	if from != "" {
		if _, ok := p.nodes[from]; !ok {
			return nil, fmt.Errorf("%w: pipeline %q has no task %q", tasks.ErrNotFound, p.execution.PipelineName, from)
		}
		chosen[from] = true
	}
	for name, n := range p.nodes {
		switch n.task.Status {
		case tasks.Cancelled:
			chosen[name] = true
		case tasks.Failed, tasks.Abandoned:
			chosen[name] = chosen[name] || from == ""
		}
	}
	for _, name := range p.def.Order() {
		t, _ := p.def.Task(name)
		for _, need := range t.Needs {
			chosen[name] = chosen[name] || chosen[need]
		}
	}
	return chosen, nil
}
