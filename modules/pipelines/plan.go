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

// errNeedFullGraph means that a plan met a task that was not loaded: it must be made again over the whole graph.
var errNeedFullGraph = errors.New("the plan needs the whole graph")

// plan works out what follows from the moves of one pipeline execution's tasks: successors ready or skipped, counters,
// the pipeline's own end. It is pure: it reads what it was given, writes nothing, and is thrown away if it fails.
//
// As long as every task that ended has Completed, the direct dependents are all it needs to know. After a failure or a
// skip it asks for what it meets, and for the whole graph if that is much, or at the end of the execution.
type plan struct {
	execution Execution
	def       *definition.Definition
	nodes     map[string]*node
	fullGraph bool // nodes holds all tasks
	now       db.Time
	worker    string  // who acts, if a worker does
	actor     string  // who asked, if anybody did
	persisted *counts // what the row has by now; nil: what the plan began with, or nothing
	// fetch reads further tasks by name; nil: nothing but the whole graph helps.
	loadTasks func(names []string) ([]tasks.Task, error)
	loads     int
	// outputs gives outputs of completed tasks of this execution, those that end in this plan included.
	outputs func(names []string) (map[string]json.RawMessage, error)
	values  *definition.EvalContext // of the conditions, once one has been evaluated

	order []*node // nodes with a move, in the order of their moves
	queue []*node // terminal nodes whose dependents have not been told
}

// node is one task within a plan.
type node struct {
	name      string
	task      tasks.Task // as the plan has it by now
	change    *tasks.Change
	remaining int // as the row has it
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

// maxLoads bounds the reading bit by bit: past it, the whole graph is read at once.
const maxLoads = 8

// ensureLoaded sees to it that the plan has nodes of these tasks.
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
		return errNeedFullGraph // which says what is missing
	}
	return nil
}

// record enters a move of a task into the plan.
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

// continueChange is a further step on a node: it continues the move that the plan has for it already.
func (n *node) continueChange() *tasks.Change {
	if n.change != nil {
		n.change.Task.RemainingDependencies = n.task.RemainingDependencies // counted since that move
		return n.change
	}
	return tasks.NewChange(n.task)
}

// notifyDependents tells the dependents of every task that has ended, until nothing more follows.
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

// notifyDependent counts a dependency of a task off, and decides the task if its trigger rule can say by now what
// becomes of it. A task that the first of its dependencies has started, or skipped, only counts.
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
	case t.TriggerRule.Early(): // those that ended before did not decide it
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

// resolve says what becomes of a task whose trigger rule is decided: ready, skipped, or abandoned if its condition
// can't be evaluated. As long as the rule is not decided, it does nothing.
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

// dependencies counts how a task's dependencies, all terminal, ended.
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
			deps.Succeeded++ // terminal, and nothing in this execution ended otherwise
		}
	}
	if deps.Open > 0 {
		return deps, fmt.Errorf("task %q counts no open dependency, but %d of them are not terminal", t.ID, deps.Open)
	}
	return deps, nil
}

// finishIfDone ends the execution if no task is open, and says nil otherwise; a late outcome may find it ended already.
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

// result returns the tasks' moves in order, and how many dependencies are to be counted off where a move does not write
// that.
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
