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

// errNeedWhole means that a plan met a task that was not loaded: it must be made again over the whole graph.
var errNeedWhole = errors.New("the plan needs the whole graph")

// plan works out what follows from the moves of one pipeline execution's tasks: successors ready or skipped, counters, the
// pipeline's own end. It is pure: it reads what it was given, writes nothing, and is thrown away if it fails.
//
// As long as every task that ended has Completed, the direct dependents are all it needs to know. After a failure or a skip it asks
// for what it meets, and for the whole graph if that is much, or at the end of the execution.
type plan struct {
	execution Execution
	def       *definition.Definition
	nodes     map[string]*node
	whole     bool // nodes holds all tasks
	now       db.Time
	worker    string  // who acts, if a worker does
	actor     string  // who asked, if anybody did
	written   *counts // what the row has by now; nil: what the plan began with, or nothing
	// fetch reads further tasks by name; nil: nothing but the whole graph helps.
	fetch   func(names []string) ([]tasks.Task, error)
	fetches int
	// outputs gives outputs of completed tasks of this execution, those that end in this plan included.
	outputs func(names []string) (map[string]json.RawMessage, error)

	order []*node // nodes with a move, in the order of their moves
	queue []*node // terminal nodes whose dependents have not been told
}

// node is one task within a plan.
type node struct {
	name      string
	task      tasks.Task // as the plan has it by now
	move      *tasks.Move
	remaining int // as the row has it
}

func newPlan(e Execution, def *definition.Definition, list []tasks.Task, whole bool, now db.Time) *plan {
	p := &plan{execution: e, def: def, nodes: make(map[string]*node, len(list)), whole: whole, now: now}
	p.add(list)
	return p
}

func (p *plan) add(list []tasks.Task) {
	for _, t := range list {
		p.nodes[t.TaskName] = &node{name: t.TaskName, task: t, remaining: t.RemainingDependencies}
	}
}

// mostFetches bounds the reading bit by bit: past it, the whole graph is read at once.
const mostFetches = 8

// know sees to it that the plan has nodes of these tasks.
func (p *plan) know(names []string) error {
	var missing []string
	for _, name := range names {
		if _, ok := p.nodes[name]; !ok {
			missing = append(missing, name)
		}
	}
	switch {
	case len(missing) == 0:
		return nil
	case p.whole:
		return fmt.Errorf("task %q of pipeline execution %s has no row", missing[0], p.execution.ID)
	case p.fetch == nil || p.fetches == mostFetches:
		return errNeedWhole
	}
	p.fetches++
	list, err := p.fetch(missing)
	if err != nil {
		return err
	}
	p.add(list)
	if len(list) != len(missing) {
		return errNeedWhole // which says what is missing
	}
	return nil
}

// take enters a move of a task into the plan.
func (p *plan) take(n *node, m *tasks.Move) {
	was := n.task.Status
	if n.move == nil {
		p.order = append(p.order, n)
	}
	m.Actor = p.actor
	n.move, n.task = m, m.Task
	switch {
	case n.task.Status.Terminal() && !was.Terminal():
		p.execution.OpenTasks--
		if n.task.Status != tasks.Completed {
			p.execution.UnsuccessfulTasks++
		}
		p.queue = append(p.queue, n)
	case was.Terminal() && !n.task.Status.Terminal():
		p.execution.OpenTasks++
		p.execution.UnsuccessfulTasks--
	}
}

// next is a further step on a node: it continues the move that the plan has for it already.
func (n *node) next() *tasks.Move {
	if n.move != nil {
		n.move.Task.RemainingDependencies = n.task.RemainingDependencies // counted since that move
		return n.move
	}
	return tasks.Begin(n.task)
}

// propagate tells the dependents of every task that has ended, until nothing more follows.
func (p *plan) propagate() error {
	for len(p.queue) > 0 {
		ended := p.queue[0]
		p.queue = p.queue[1:]
		dependents := p.def.Dependents(ended.name)
		if err := p.know(dependents); err != nil {
			return err
		}
		for _, name := range dependents {
			n := p.nodes[name]
			n.task.RemainingDependencies--
			if n.task.Status == tasks.NotStarted && n.task.RemainingDependencies == 0 {
				if err := p.decide(n); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// decide says what becomes of a task whose dependencies are all terminal: ready, skipped, or abandoned if its condition can't
// be evaluated.
func (p *plan) decide(n *node) error {
	t, ok := p.def.Task(n.name)
	if !ok {
		return fmt.Errorf("task %q is not in the definition %s of pipeline %q", n.name, p.execution.DefinitionVersion, p.execution.PipelineName)
	}
	statuses, err := p.dependencies(t)
	if err != nil {
		return err
	}
	if !t.TriggerRule.Holds(statuses) {
		return p.skip(n, t, fmt.Sprintf("trigger rule %s is not met", t.TriggerRule))
	}
	if t.If == "" {
		p.take(n, n.next().MarkReady(p.now).By(p.worker))
		return nil
	}
	values := definition.Values{Input: json.RawMessage(p.execution.Input)}
	if values.Needs, err = p.outputs(t.ConditionNeeds()); err != nil {
		return err
	}
	holds, err := t.Condition(values)
	switch {
	case err != nil:
		p.take(n, n.next().Abandon(tasks.CleanText(err.Error(), tasks.MaxError), p.now).By(p.worker))
		return nil
	case !holds:
		return p.skip(n, t, "condition is false: "+t.If)
	}
	p.take(n, n.next().MarkReady(p.now).By(p.worker))
	return nil
}

func (p *plan) skip(n *node, t *definition.Task, reason string) error {
	p.take(n, n.next().Skip(reason, string(t.TriggerRule), p.now).By(p.worker))
	return nil
}

// dependencies gives the statuses of a task's dependencies, all terminal.
func (p *plan) dependencies(t *definition.Task) ([]tasks.Status, error) {
	if p.execution.UnsuccessfulTasks > 0 {
		if err := p.know(t.Needs); err != nil {
			return nil, err
		}
	}
	statuses := make([]tasks.Status, len(t.Needs))
	for i, name := range t.Needs {
		switch n, ok := p.nodes[name]; {
		case ok && n.task.Status.Terminal():
			statuses[i] = n.task.Status
		case !ok && p.execution.UnsuccessfulTasks == 0:
			statuses[i] = tasks.Completed // terminal, and nothing in this execution ended otherwise
		default:
			return nil, fmt.Errorf("task %q counts no open dependency, but %q is not terminal", t.ID, name)
		}
	}
	return statuses, nil
}

// settle ends the execution if no task is open, and says nil otherwise; a late outcome may find it ended already.
func (p *plan) settle() (*move, error) {
	if p.execution.OpenTasks > 0 || p.execution.Status.Terminal() {
		return nil, nil
	}
	if p.execution.UnsuccessfulTasks > 0 && !p.whole {
		return nil, errNeedWhole
	}
	counts, failure := map[tasks.Status]int{}, ""
	if p.execution.UnsuccessfulTasks == 0 {
		counts[tasks.Completed] = len(p.def.Tasks)
	} else {
		var first time.Time
		for i := range p.def.Tasks {
			n := p.nodes[p.def.Tasks[i].ID]
			counts[n.task.Status]++
			if p.unhandled(n) && (failure == "" || n.task.CompletedAt.Before(first)) {
				failure, first = fmt.Sprintf("task %s %s: %s", n.name, verb(n.task.Status), n.task.Error), n.task.CompletedAt.Time
			}
		}
	}
	m := end(p.execution, counts, tasks.CleanText(failure, tasks.MaxError), p.now)
	m.worker, m.actor = p.worker, p.actor
	return m, nil
}

func verb(s tasks.Status) string {
	if s == tasks.Abandoned {
		return "was abandoned"
	}
	return "failed"
}

// unhandled reports a failure that no direct dependent, whose rule asks for failure, has completed after.
func (p *plan) unhandled(n *node) bool {
	if n.task.Status != tasks.Failed && n.task.Status != tasks.Abandoned {
		return false
	}
	for _, name := range p.def.Dependents(n.name) {
		d, _ := p.def.Task(name)
		if d.TriggerRule.HandlesFailure() && p.nodes[name].task.Status == tasks.Completed {
			return false
		}
	}
	return true
}

// moves gives the tasks' moves in order, and the counters of those that only count.
func (p *plan) result() (moves []*tasks.Move, counters []tasks.Counter) {
	for _, n := range p.order {
		n.move.Hold = p.execution.Status == Paused
		n.move.Task.RemainingDependencies = n.task.RemainingDependencies
		moves = append(moves, n.move)
	}
	for _, n := range p.nodes {
		if n.move == nil && n.task.RemainingDependencies != n.remaining {
			counters = append(counters, tasks.Counter{ID: n.task.ID, Remaining: n.task.RemainingDependencies})
		}
	}
	return moves, counters
}
