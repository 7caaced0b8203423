package pipelines

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/sluiceworks/sluice/modules/pipelines/definition/expr"
	"github.com/sluiceworks/sluice/modules/tasks"
)

// ErrStalePlan means that the rows that a plan was given contradict each other, because one has changed since.
var ErrStalePlan = errors.New("stale plan")

// Missing says what a plan lacks to go on: the full graph, tasks, or outputs.
type Missing struct {
	FullGraph bool     // the rows of all tasks, in a new plan
	Tasks     []string // the rows of these tasks; see Plan.SupplyTasks
	Outputs   []string // the outputs of these tasks, which one condition reads; see Plan.SupplyOutputs
	Reads     int      // of how many tasks the condition reads the output, the known ones included
}

// Nothing reports whether the plan lacks nothing.
func (m Missing) Nothing() bool { return !m.FullGraph && len(m.Tasks) == 0 && len(m.Outputs) == 0 }

// maxSupplies is how often tasks are supplied to a plan before it needs the full graph.
const maxSupplies = 8

// missing returns what the plan lacks for its next decision. If it lacks tasks, it asks for those of all decisions that
// are known to come.
func (p *Plan) missing() (Missing, error) {
	if p.undecided != nil {
		return p.missingForCondition()
	}
	names := p.missingFor(p.queue[0])
	if len(names) == 0 {
		return Missing{}, nil
	}
	for _, next := range p.queue[1:] {
		names = append(names, p.missingFor(next)...)
	}
	return p.ask(names)
}

// missingFor returns the tasks that a notice needs and that are not loaded.
func (p *Plan) missingFor(next notice) (names []string) {
	n := p.nodes[next.dependent]
	if n == nil {
		return []string{next.dependent}
	}
	if p.Execution.UnsuccessfulTasks == 0 || n.task.Status != tasks.NotStarted || n.task.RemainingDependencies != 1 {
		return nil
	}
	if t, ok := p.Definition.Task(n.name); ok { // it is decided by how each of its dependencies ended
		for _, name := range t.Needs {
			if p.nodes[name] == nil {
				names = append(names, name)
			}
		}
	}
	return names
}

// ask returns the request for tasks.
func (p *Plan) ask(names []string) (Missing, error) {
	switch {
	case p.fullGraph:
		return Missing{}, fmt.Errorf("%w: task %q of pipeline execution %s has no row", ErrStalePlan, names[0],
			p.Execution.ID)
	case p.rejected || p.supplies == maxSupplies:
		return Missing{FullGraph: true}, nil
	}
	slices.Sort(names)
	return Missing{Tasks: slices.Compact(names)}, nil
}

// SupplyTasks adds rows that Advance has asked for.
func (p *Plan) SupplyTasks(asked []string, list []tasks.Task) {
	p.supplies++
	p.add(list)
	p.rejected = !p.has(asked)
}

// SupplyOutputs adds outputs that Advance has asked for. Tasks without an output may be omitted. If tooLarge is not
// nil, the outputs are too large together, and the task whose condition reads them is abandoned with that error.
func (p *Plan) SupplyOutputs(asked []string, outputs map[string]json.RawMessage, tooLarge error) {
	if p.tooLarge = tooLarge; tooLarge != nil {
		return
	}
	for _, name := range asked {
		p.values.Needs[name] = outputs[name]
	}
}

// missingForCondition returns what the condition of the undecided task reads and is not known.
func (p *Plan) missingForCondition() (Missing, error) {
	t, _ := p.Definition.Task(p.undecided.name)
	if p.values == nil {
		p.values = &expr.Values{
			Input: json.RawMessage(p.Execution.Input), Needs: map[string]json.RawMessage{},
			Past: map[string]expr.Past{},
			Run:  runOf(p.Execution.ID, p.Execution.PipelineName, p.Execution.Attempt),
		}
	}
	names, pasts := t.ConditionOutputs()
	var outputs, rows []string
	for _, name := range names {
		if changed, ok := p.Changed(name); ok {
			p.values.Needs[name] = json.RawMessage(changed.Output)
		} else if _, known := p.values.Needs[name]; !known {
			outputs = append(outputs, name)
		}
	}
	for _, name := range pasts {
		if p.nodes[name] == nil {
			rows = append(rows, name)
		}
	}
	switch {
	case len(rows) > 0:
		return p.ask(rows)
	case len(outputs) > 0 && p.tooLarge == nil:
		return Missing{Outputs: outputs, Reads: len(names)}, nil
	}
	return Missing{}, nil
}

// decideCondition evaluates the condition of the undecided task, its If. All conditions of a plan share one evaluation
// context, so that the input is decoded once. A task whose condition cannot be evaluated is abandoned.
func (p *Plan) decideCondition() error {
	n := p.undecided
	t, _ := p.Definition.Task(n.name)
	_, pasts := t.ConditionOutputs()
	for _, name := range pasts {
		p.values.Past[name] = PastOf(p.nodes[name].task)
	}
	holds, err := false, p.tooLarge
	if err == nil {
		holds, err = t.Condition(p.values)
	}
	p.undecided, p.tooLarge = nil, nil
	switch {
	case err != nil:
		text := tasks.SanitizeText(err.Error(), tasks.MaxError)
		p.record(n, n.continueChange().AbandonAs(tasks.KindExpression, text, p.now).Attribute(p.Worker))
	case holds:
		p.record(n, n.continueChange().MarkReady(p.now).Attribute(p.Worker))
	default:
		p.skip(n, t, tasks.SkipCondition, "condition is false: "+t.If)
	}
	return nil
}
