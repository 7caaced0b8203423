package pipelines

import (
	"fmt"
	"slices"
	"time"

	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/pipelines/definition/expr"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// Plan computes what follows from changes of one execution's tasks: successors that become ready or skipped, counters,
// and the end of the execution. It is a value that reads and writes nothing else. The caller adds changes, for example
// with RecordOutcomes, and then calls Advance until it lacks nothing. A plan that failed must be discarded.
//
// As long as all ended tasks are Completed, the plan needs only their direct dependents. After a failure or a skip it
// lacks further tasks. It lacks the full graph if these are many, and to end an execution with unsuccessful tasks.
type Plan struct {
	Execution  Execution // with the counters, and the status that the caller has set
	Definition *definition.Definition
	Worker     string // the worker that causes the changes; empty if none
	Actor      string // the operator who requested the changes; empty if none

	nodes     map[string]*node
	fullGraph bool // nodes contains all tasks
	now       dbtype.Time
	supplies  int          // how often further tasks were supplied
	rejected  bool         // supplied tasks were missing: only the full graph can name the missing one
	values    *expr.Values // shared by the conditions; set at the first

	order     []*node  // nodes with a change, in the order of the changes
	queue     []notice // what is to be decided next
	undecided *node    // its trigger rule is met and its condition is not evaluated yet
	tooLarge  error    // why the outputs for the condition of undecided cannot be supplied
	resetFrom string   // see Reset
}

// node is one task in a plan.
type node struct {
	name      string
	task      tasks.Task // the task including its changes
	change    *tasks.Change
	remaining int // remaining dependencies as stored in the row
}

// notice tells the plan to decide a task: because the dependency ended has ended, or, if that is nil, from the statuses
// of all its dependencies.
type notice struct {
	dependent string
	ended     *node
}

// NewPlan returns a plan without changes. list holds the tasks that are known, which are all tasks if fullGraph is set.
func NewPlan(x Execution, def *definition.Definition, list []tasks.Task, fullGraph bool, now dbtype.Time) *Plan {
	p := &Plan{Execution: x, Definition: def, nodes: make(map[string]*node, len(list)), fullGraph: fullGraph, now: now}
	p.add(list)
	return p
}

func (p *Plan) add(list []tasks.Task) {
	for _, t := range list {
		p.nodes[t.TaskName] = &node{name: t.TaskName, task: t, remaining: t.RemainingDependencies}
	}
}

// PlanStart plans the creation of all tasks of a new execution, and resolves those without dependencies. Its Advance
// lacks nothing.
func PlanStart(x Execution, def *definition.Definition, now dbtype.Time, actor string) *Plan {
	p := NewPlan(x, def, nil, true, now)
	p.Actor = actor
	for i := range def.Tasks {
		created := NewTaskSpec(x.ID, def, i)
		n := &node{name: created.TaskName, task: tasks.Task{Status: ""}}
		p.nodes[n.name] = n
		p.record(n, tasks.Create(created, now))
	}
	for i := range def.Tasks {
		if len(def.Tasks[i].Needs) == 0 {
			p.queue = append(p.queue, notice{dependent: def.Tasks[i].ID})
		}
	}
	return p
}

// NewTaskSpec returns the description of the i-th task of a definition. Its id is derived from the execution's id, so
// that the initial row of a task can be computed without reading it.
func NewTaskSpec(execution dbtype.ID, def *definition.Definition, i int) tasks.Spec {
	t := &def.Tasks[i]
	return tasks.Spec{
		ID: execution.Offset(i + 1), PipelineExecutionID: execution, TaskName: t.ID, Handler: t.Handler(),
		Queue: t.Queue, Priority: t.Priority, Dependencies: t.Needs, TriggerRule: string(t.TriggerRule),
		MaxAttempts: t.Retry.MaxAttempts, ContinueOnError: t.ContinueOnError,
	}
}

// record adds a change of a task to the plan and updates the execution's counters.
func (p *Plan) record(n *node, m *tasks.Change) {
	was := n.task.Status
	if n.change == nil {
		p.order = append(p.order, n)
	}
	m.Actor = p.Actor
	n.change, n.task = m, m.Task
	switch {
	case n.task.Status.Terminal() && !was.Terminal():
		p.Execution.OpenTasks--
		if n.task.Status != tasks.Completed {
			p.Execution.UnsuccessfulTasks++
		}
		for _, name := range p.Definition.Dependents(n.name) {
			p.queue = append(p.queue, notice{name, n})
		}
	case was.Terminal() && !n.task.Status.Terminal():
		p.Execution.OpenTasks++
		if was != tasks.Completed {
			p.Execution.UnsuccessfulTasks--
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

// Advance follows the consequences of the changes until nothing follows, or until it lacks something. The caller then
// supplies that and calls Advance again, or, if FullGraph is set, makes a new plan with all tasks.
func (p *Plan) Advance() (Missing, error) {
	for p.undecided != nil || len(p.queue) > 0 {
		missing, err := p.missing()
		if err != nil || !missing.Nothing() {
			return missing, err
		}
		if p.undecided != nil {
			err = p.decideCondition()
		} else {
			err = p.decideNext()
		}
		if err != nil {
			return Missing{}, err
		}
	}
	if p.Execution.OpenTasks < 0 { // an outcome was recorded before
		return Missing{}, fmt.Errorf("%w: more tasks of pipeline execution %s ended than were open", ErrStalePlan,
			p.Execution.ID)
	}
	if p.Execution.OpenTasks == 0 && !p.Execution.Status.Terminal() && p.Execution.UnsuccessfulTasks > 0 &&
		!p.fullGraph {
		return Missing{FullGraph: true}, nil // to report how each task ended
	}
	return Missing{}, p.checkReset()
}

// decideNext removes the first notice from the queue and decides its task, if the trigger rule can be decided.
func (p *Plan) decideNext() error {
	next := p.queue[0]
	p.queue = p.queue[1:]
	n := p.nodes[next.dependent]
	if next.ended != nil {
		n.task.RemainingDependencies--
	}
	if n.task.Status != tasks.NotStarted {
		return nil // an earlier dependency decided its rule: only the counter changes
	}
	t, ok := p.Definition.Task(n.name)
	if !ok {
		return fmt.Errorf("task %q is not in the definition %s of pipeline %q", n.name, p.Execution.DefinitionVersion,
			p.Execution.PipelineName)
	}
	var deps definition.Ended
	switch {
	case next.ended == nil:
		deps = p.countDependencies(t)
	case n.task.RemainingDependencies == 0:
		if deps = p.countDependencies(t); deps.Open > 0 {
			return fmt.Errorf("%w: task %q counts no open dependency, but %d of them are not terminal", ErrStalePlan,
				t.ID, deps.Open)
		}
	case t.TriggerRule.Early(): // the dependencies that ended earlier did not decide it
		deps.Add(next.ended.task.Status, next.ended.task.SkipReason)
		deps.Open = n.task.RemainingDependencies
	default:
		return nil
	}
	p.resolve(n, t, deps)
	return nil
}

// countDependencies counts the results of a task's dependencies. Those that are not loaded are Completed.
func (p *Plan) countDependencies(t *definition.Task) (deps definition.Ended) {
	for _, name := range t.Needs {
		if n, ok := p.nodes[name]; ok {
			deps.Add(n.task.Status, n.task.SkipReason)
		} else {
			deps.Succeeded++ // terminal, and no task of this execution was unsuccessful
		}
	}
	return deps
}

// resolve makes a task ready or skipped if its trigger rule is decided. If the task has a condition, it becomes the
// undecided one. If the rule is undecided, resolve does nothing.
func (p *Plan) resolve(n *node, t *definition.Task, deps definition.Ended) {
	switch t.TriggerRule.Decide(deps) {
	case definition.Undecided:
	case definition.SkippedByRule:
		p.skip(n, t, tasks.SkipTriggerRule, fmt.Sprintf("trigger rule %s is not met", t.TriggerRule))
	case definition.SkippedUpstreamFailed:
		p.skip(n, t, tasks.SkipUpstreamFailed,
			fmt.Sprintf("trigger rule %s is not met, because of a failure above", t.TriggerRule))
	case definition.Runs:
		if t.If != "" {
			p.undecided = n
			return
		}
		p.record(n, n.continueChange().MarkReady(p.now).Attribute(p.Worker))
	}
}

func (p *Plan) skip(n *node, t *definition.Task, reason tasks.SkipReason, detail string) {
	p.record(n, n.continueChange().Skip(reason, string(t.TriggerRule), detail, p.now).Attribute(p.Worker))
}

// End returns the change that ends the execution if no task is open. Otherwise, or if the execution has already ended,
// it returns nil. Advance must lack nothing.
func (p *Plan) End() *Change {
	if p.Execution.OpenTasks > 0 || p.Execution.Status.Terminal() {
		return nil
	}
	counts, failure := map[tasks.Status]int{}, ""
	if p.Execution.UnsuccessfulTasks == 0 {
		counts[tasks.Completed] = len(p.Definition.Tasks)
	} else {
		var first time.Time
		for i := range p.Definition.Tasks {
			t := &p.Definition.Tasks[i]
			n := p.nodes[t.ID]
			counts[n.task.Status]++
			if failed(n.task.Status) && !t.ContinueOnError && (failure == "" || n.task.CompletedAt.Before(first)) {
				failure, first = fmt.Sprintf("task %s %s: %s", n.name, verb(n.task.Status), n.task.Error),
					n.task.CompletedAt.Time
			}
		}
	}
	m := p.Execution.End(counts, tasks.SanitizeText(failure, tasks.MaxError), p.now)
	m.Worker, m.Actor = p.Worker, p.Actor
	return m
}

func verb(s tasks.Status) string {
	if s == tasks.Abandoned {
		return "was abandoned"
	}
	return "failed"
}

func failed(s tasks.Status) bool { return s == tasks.Failed || s == tasks.Abandoned }

// has reports whether all of the named tasks are loaded.
func (p *Plan) has(names []string) bool {
	return !slices.ContainsFunc(names, func(name string) bool { return p.nodes[name] == nil })
}
