package pipelines

import (
	"fmt"

	"github.com/sluiceworks/sluice/modules/tasks"
)

// reopen plans an operator's retry over the whole graph: every task that did not complete, or, given from, that task, what follows
// from it, and what was cancelled. Completed tasks are not run again. It returns the names of what is reopened.
func (p *plan) reopen(from string) ([]string, error) {
	chosen, err := p.choose(from)
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
		return nil, fmt.Errorf("%w: no task of pipeline execution %s can be run again", ErrState, p.execution.ID)
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
			p.take(n, n.task.Reopen(t.Retry.MaxAttempts, remaining))
		}
	}
	for _, name := range names {
		if n := p.nodes[name]; n.task.Status == tasks.NotStarted && n.task.RemainingDependencies == 0 {
			if err := p.decide(n); err != nil {
				return nil, err
			}
		}
	}
	if err := p.propagate(); err != nil {
		return nil, err
	}
	if from != "" && p.nodes[from].task.Status == tasks.Skipped {
		return nil, fmt.Errorf("%w: task %q would be skipped again, for what it needs has not gone as its rule asks: retry from there", ErrState, from)
	}
	return names, nil
}

// choose picks the tasks to reopen. What was cancelled ran to no end of its own, so a retry from one task on reopens that too: else
// the execution would end with holes in it.
func (p *plan) choose(from string) (map[string]bool, error) {
	chosen := map[string]bool{}
	if from != "" {
		n, ok := p.nodes[from]
		switch {
		case !ok:
			return nil, fmt.Errorf("%w: pipeline %q has no task %q", tasks.ErrNotFound, p.execution.PipelineName, from)
		case n.task.Status == tasks.Completed:
			return nil, fmt.Errorf("%w: task %q has completed and is not run again: name one that did not", ErrState, from)
		}
		for _, name := range append([]string{from}, p.def.Descendants(from)...) {
			if p.nodes[name].task.Status != tasks.Completed {
				chosen[name] = true
			}
		}
	}
	for name, n := range p.nodes {
		switch n.task.Status {
		case tasks.Cancelled:
			chosen[name] = true
		case tasks.Failed, tasks.Abandoned:
			chosen[name] = chosen[name] || from == ""
		}
	}
	// What was skipped is decided anew where it follows from a task that runs again.
	for _, name := range p.def.Order() {
		if t, _ := p.def.Task(name); p.nodes[name].task.Status == tasks.Skipped {
			for _, need := range t.Needs {
				chosen[name] = chosen[name] || chosen[need]
			}
		}
	}
	return chosen, nil
}
