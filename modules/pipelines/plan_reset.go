package pipelines

import (
	"fmt"

	"github.com/sluiceworks/sluice/modules/tasks"
)

// Reset adds an operator's retry to the plan, which must have the full graph; see tasksToReset. It returns the names of
// the tasks that it reopens, or ErrInvalidState if there are none. Advance returns ErrInvalidState if the task from
// would be skipped again.
func (p *Plan) Reset(from string) ([]string, error) {
	chosen, err := p.tasksToReset(from)
	if err != nil {
		return nil, err
	}
	var names []string
	for i := range p.Definition.Tasks {
		if name := p.Definition.Tasks[i].ID; chosen[name] {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%w: no task of pipeline execution %s can be run again", ErrInvalidState, p.Execution.ID)
	}
	open := func(name string) bool { return chosen[name] || !p.nodes[name].task.Status.Terminal() }
	for i := range p.Definition.Tasks {
		t := &p.Definition.Tasks[i]
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
		p.queue = append(p.queue, notice{dependent: name})
	}
	p.resetFrom = from
	return names, nil
}

// checkReset returns ErrInvalidState if the task from which a retry starts is skipped again.
func (p *Plan) checkReset() error {
	if p.resetFrom != "" && p.nodes[p.resetFrom].task.Status == tasks.Skipped {
		return fmt.Errorf("%w: task %q would be skipped again: its dependencies do not satisfy its trigger rule; "+
			"retry from one of them",
			ErrInvalidState, p.resetFrom)
	}
	return nil
}

// tasksToReset returns the tasks to reopen: the task from or, if that is empty, all Failed and Abandoned tasks; all
// Cancelled tasks; and all tasks that depend on one of these, even if completed, because clean-up tasks and alerts must
// run after each run of their dependencies. It returns tasks.ErrNotFound if from does not exist.
func (p *Plan) tasksToReset(from string) (map[string]bool, error) {
	chosen := map[string]bool{}
	if from != "" {
		if _, ok := p.nodes[from]; !ok {
			return nil, fmt.Errorf("%w: pipeline %q has no task %q", tasks.ErrNotFound, p.Execution.PipelineName, from)
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
	for _, name := range p.Definition.Order() {
		t, _ := p.Definition.Task(name)
		for _, need := range t.Needs {
			chosen[name] = chosen[name] || chosen[need]
		}
	}
	return chosen, nil
}
