package pipelines

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db"
)

// errNeedFullGraph means that a plan needs a task that was not loaded. It must be repeated with the full graph.
var errNeedFullGraph = errors.New("the plan needs the full graph")

// plan computes what follows from changes of one execution's tasks: successors that become ready or skipped, counters,
// and the end of the execution. It writes nothing, and is discarded if it fails.
//
// As long as all ended tasks are Completed, the plan needs only their direct dependents. After a failure or a skip it
// loads further tasks when it needs them. It needs the full graph if these are many, and to end an execution with
// unsuccessful tasks.
type plan struct {
	execution Execution
	def       *definition.Definition
	nodes     map[string]*node
	fullGraph bool // nodes contains all tasks
	now       db.Time
	worker    string  // the worker that causes the changes; empty if none
	actor     string  // the operator who requested the changes; empty if none
	persisted *counts // the counters now stored in the row; nil: unknown, so they are written
	// loadTasks returns further tasks by name. If it is nil, a missing task needs the full graph.
	loadTasks func(names []string) ([]tasks.Task, error)
	loads     int
	// outputs returns outputs of completed tasks of this execution, including those that complete in this plan.
	outputs func(names []string) (map[string]json.RawMessage, error)
	values  *definition.EvalContext // shared by the conditions; set at the first

	order []*node // nodes with a change, in the order of the changes
	queue []*node // ended nodes; their dependents have not been notified
}

// node is one task in a plan.
type node struct {
	name      string
	task      tasks.Task // the task including its changes
	change    *tasks.Change
	remaining int // remaining dependencies as stored in the row
}

func newPlan(e Execution, def *definition.Definition, list []tasks.Task, whole bool, now db.Time) *plan {
	p := &plan{execution: e, def: def, nodes: make(map[string]*node, len(list)), fullGraph: whole, now: now}
	p.add(list)
	return p
}

func (p *plan) add(list []tasks.Task) {
	for _, t := range list {
		p.nodes[t.TaskName] = &node{name: t.TaskName, task: t, remaining: t.RemainingDependencies}
	}
}

// maxLoads is how often a plan loads further tasks before it needs the full graph.
const maxLoads = 8

// ensureLoaded loads the named tasks that the plan does not contain yet. It returns errNeedFullGraph if it cannot.
func (p *plan) ensureLoaded(names []string) error {
	var missing []string
	for _, name := range names {
		if _, ok := p.nodes[name]; !ok {
			missing = append(missing, name)
		}
	}
	switch {
	case len(missing) == 0:
		return nil
	case p.fullGraph:
		return fmt.Errorf("task %q of pipeline execution %s has no row", missing[0], p.execution.ID)
	case p.loadTasks == nil || p.loads == maxLoads:
		return errNeedFullGraph
	}
	p.loads++
	list, err := p.loadTasks(missing)
	if err != nil {
		return err
	}
	p.add(list)
	if len(list) != len(missing) {
		return errNeedFullGraph // with the full graph, the error names the missing task
	}
	return nil
}

// record adds a change of a task to the plan and updates the execution's counters.
func (p *plan) record(n *node, m *tasks.Change) {
	was := n.task.Status
	if n.change == nil {
		p.order = append(p.order, n)
	}
	m.Actor = p.actor
	n.change, n.task = m, m.Task
	switch {
	case n.task.Status.Terminal() && !was.Terminal():
		p.execution.OpenTasks--
		if n.task.Status != tasks.Completed {
			p.execution.UnsuccessfulTasks++
		}
		p.queue = append(p.queue, n)
	case was.Terminal() && !n.task.Status.Terminal():
		p.execution.OpenTasks++
		if was != tasks.Completed {
			p.execution.UnsuccessfulTasks--
		}
	}
}

// continueChange returns the change to which the next step of a node is appended: the one that the plan already has, or
// a new one.
func (n *node) continueChange() *tasks.Change {
	if n.change != nil {
		n.change.Task.RemainingDependencies = n.task.RemainingDependencies // may have been decremented since
		return n.change
	}
	return tasks.NewChange(n.task)
}

// notifyDependents notifies the dependents of every ended task, until no further task ends.
func (p *plan) notifyDependents() error {
	for len(p.queue) > 0 {
		ended := p.queue[0]
		p.queue = p.queue[1:]
		dependents := p.def.Dependents(ended.name)
		if err := p.ensureLoaded(dependents); err != nil {
			return err
		}
		for _, name := range dependents {
			if err := p.notifyDependent(p.nodes[name], ended); err != nil {
				return err
			}
		}
	}
	return nil
}

// notifyDependent decrements the remaining dependencies of n, and resolves n if its trigger rule can be decided. If n
// is no longer NotStarted, because an earlier dependency decided its rule, only the counter changes.
func (p *plan) notifyDependent(n, ended *node) error {
	n.task.RemainingDependencies--
	if n.task.Status != tasks.NotStarted {
		return nil
	}
	t, err := p.definition(n)
	if err != nil {
		return err
	}
	var deps definition.Ended
	switch {
	case n.task.RemainingDependencies == 0:
		if deps, err = p.dependencies(t); err != nil {
			return err
		}
	case t.TriggerRule.Early(): // the dependencies that ended earlier did not decide it
		deps.Add(ended.task.Status, ended.task.SkipReason)
		deps.Open = n.task.RemainingDependencies
	default:
		return nil
	}
	return p.resolve(n, t, deps)
}

func (p *plan) definition(n *node) (*definition.Task, error) {
	t, ok := p.def.Task(n.name)
	if !ok {
		return nil, fmt.Errorf("task %q is not in the definition %s of pipeline %q", n.name, p.execution.DefinitionVersion, p.execution.PipelineName)
	}
	return t, nil
}

// resolve makes a task ready or skipped if its trigger rule is decided. It abandons the task if its condition cannot be
// evaluated. If the rule is undecided, it does nothing.
func (p *plan) resolve(n *node, t *definition.Task, deps definition.Ended) error {
	switch t.TriggerRule.Decide(deps) {
	case definition.Undecided:
		return nil
	case definition.SkippedByRule:
		return p.skip(n, t, tasks.SkipTriggerRule, fmt.Sprintf("trigger rule %s is not met", t.TriggerRule))
	case definition.SkippedUpstreamFailed:
		return p.skip(n, t, tasks.SkipUpstreamFailed, fmt.Sprintf("trigger rule %s is not met, because of a failure above", t.TriggerRule))
	case definition.Runs:
	}
	if t.If == "" {
		p.record(n, n.continueChange().MarkReady(p.now).Attribute(p.worker))
		return nil
	}
	holds, err := p.condition(t)
	var broken *conditionError
	switch {
	case errors.As(err, &broken):
		p.record(n, n.continueChange().AbandonAs(tasks.KindExpression, tasks.SanitizeText(err.Error(), tasks.MaxError), p.now).Attribute(p.worker))
		return nil
	case err != nil:
		return err
	case !holds:
		return p.skip(n, t, tasks.SkipCondition, "condition is false: "+t.If)
	}
	p.record(n, n.continueChange().MarkReady(p.now).Attribute(p.worker))
	return nil
}

func (p *plan) skip(n *node, t *definition.Task, reason tasks.SkipReason, detail string) error {
	p.record(n, n.continueChange().Skip(reason, string(t.TriggerRule), detail, p.now).Attribute(p.worker))
	return nil
}

// dependencies counts the results of a task's dependencies. It returns an error if one has not ended.
func (p *plan) dependencies(t *definition.Task) (deps definition.Ended, err error) {
	if p.execution.UnsuccessfulTasks > 0 {
		if err := p.ensureLoaded(t.Needs); err != nil {
			return deps, err
		}
	}
	for _, name := range t.Needs {
		switch n, ok := p.nodes[name]; {
		case ok:
			deps.Add(n.task.Status, n.task.SkipReason)
		case p.execution.UnsuccessfulTasks == 0:
			deps.Succeeded++ // terminal, and no task of this execution was unsuccessful
		}
	}
	if deps.Open > 0 {
		return deps, fmt.Errorf("task %q counts no open dependency, but %d of them are not terminal", t.ID, deps.Open)
	}
	return deps, nil
}

// finishIfDone returns the change that ends the execution if no task is open. Otherwise, or if the execution has
// already ended, it returns nil.
func (p *plan) finishIfDone() (*change, error) {
	if p.execution.OpenTasks > 0 || p.execution.Status.Terminal() {
		return nil, nil
	}
	if p.execution.UnsuccessfulTasks > 0 && !p.fullGraph {
		return nil, errNeedFullGraph
	}
	counts, failure := map[tasks.Status]int{}, ""
	if p.execution.UnsuccessfulTasks == 0 {
		counts[tasks.Completed] = len(p.def.Tasks)
	} else {
		var first time.Time
		for i := range p.def.Tasks {
			n := p.nodes[p.def.Tasks[i].ID]
			counts[n.task.Status]++
			if failed(n.task.Status) && !p.def.Tasks[i].ContinueOnError && (failure == "" || n.task.CompletedAt.Before(first)) {
				failure, first = fmt.Sprintf("task %s %s: %s", n.name, verb(n.task.Status), n.task.Error), n.task.CompletedAt.Time
			}
		}
	}
	m := end(p.execution, counts, tasks.SanitizeText(failure, tasks.MaxError), p.now)
	m.worker, m.actor = p.worker, p.actor
	return m, nil
}

func verb(s tasks.Status) string {
	if s == tasks.Abandoned {
		return "was abandoned"
	}
	return "failed"
}

func failed(s tasks.Status) bool { return s == tasks.Failed || s == tasks.Abandoned }

// result returns the changes of tasks in order, and the dependency counts that the changes do not write.
func (p *plan) result() (moves []*tasks.Change, counters []tasks.DependencyCount) {
	for _, n := range p.order {
		n.change.NoOutbox, n.change.ReservedFor = p.execution.Status == Paused, string(p.execution.ReservedFor)
		n.change.Task.RemainingDependencies = n.task.RemainingDependencies
		moves = append(moves, n.change)
	}
	for _, n := range p.nodes {
		if ended := n.remaining - n.task.RemainingDependencies; ended != 0 && (n.change == nil || !n.change.WritesRemaining()) {
			counters = append(counters, tasks.DependencyCount{ID: n.task.ID, Ended: ended})
		}
	}
	return moves, counters
}
