package pipelines

import (
	"encoding/json"

	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// Changes returns the changes of tasks in order, and the dependency counts that the changes do not write.
func (p *Plan) Changes() (list []*tasks.Change, counts []tasks.DependencyCount) {
	for _, n := range p.order {
		n.change.NoOutbox, n.change.ReservedFor = p.Execution.Status == Paused, string(p.Execution.ReservedFor)
		n.change.Task.RemainingDependencies = n.task.RemainingDependencies
		list = append(list, n.change)
	}
	for _, n := range p.nodes {
		if ended := n.remaining - n.task.RemainingDependencies; ended != 0 &&
			(n.change == nil || !n.change.WritesRemaining()) {
			counts = append(counts, tasks.DependencyCount{ID: n.task.ID, Ended: ended})
		}
	}
	return list, counts
}

// Changed returns a task as this plan changes it; ok is false if it does not.
func (p *Plan) Changed(name string) (t tasks.Task, ok bool) {
	if n := p.nodes[name]; n != nil && n.change != nil {
		return n.task, true
	}
	return t, false
}

// Completes returns the output of a task that completes in this plan; ok is false if it does not.
func (p *Plan) Completes(name string) (output json.RawMessage, ok bool) {
	if t, changed := p.Changed(name); changed && t.Status == tasks.Completed {
		return json.RawMessage(t.Output), true
	}
	return nil, false
}

// BecameReady returns the tasks that become Ready for the first time in this plan, in the order of the changes. They
// are due.
func (p *Plan) BecameReady() (list []tasks.Task) {
	for _, n := range p.order {
		last := n.change.Steps[len(n.change.Steps)-1].Transition
		if n.task.Status == tasks.Ready && last.Name == tasks.TransitionMarkReady.Name {
			list = append(list, n.task)
		}
	}
	return list
}

// ReadyTasks returns the tasks that this plan leaves Ready, in the order of the changes.
func (p *Plan) ReadyTasks() (list []tasks.Task) {
	for _, n := range p.order {
		if n.task.Status == tasks.Ready {
			list = append(list, n.task)
		}
	}
	return list
}

// Claim adds to a task that became Ready in this plan that worker claims and starts it, and returns the claimed task.
func (p *Plan) Claim(name, worker string, leaseExpires dbtype.Time) tasks.Task {
	n := p.nodes[name]
	n.change.Claim(worker, leaseExpires, p.now).MarkStarted()
	n.task = n.change.Task
	return n.task
}
