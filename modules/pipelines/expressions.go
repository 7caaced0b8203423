package pipelines

import (
	"encoding/json"

	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db"
)

// Values returns the context in which the expressions of the claimed task are evaluated.
func (c *Claim) Values() *definition.EvalContext {
	return &definition.EvalContext{Input: c.Input, Needs: c.Needs, Past: c.Past, Run: runOf(c.Task.PipelineExecutionID, c.Pipeline, c.RunAttempt)}
}

func runOf(id db.ID, pipeline string, attempt int) definition.Run {
	return definition.Run{ID: id.String(), Pipeline: pipeline, Attempt: attempt}
}

// pastOf returns what expressions can read of an ended task.
func pastOf(t tasks.Task) definition.Past {
	return definition.Past{Status: string(t.Status), Error: string(t.Error), ErrorKind: string(t.ErrorKind), Attempts: t.Attempt}
}

// pasts loads Past of the claims with expressions that read how dependencies ended.
func (t *exchange) pasts() error {
	var stored []tasks.Key
	for i := range t.claims {
		c := &t.claims[i]
		for _, name := range c.Definition.PastsNeeded() {
			stored = append(stored, tasks.Key{PipelineExecutionID: c.Task.PipelineExecutionID, TaskName: name})
		}
	}
	if len(stored) == 0 {
		return nil
	}
	var list []tasks.Task
	if err := t.engine.tasks.QueueLoadByKey(t.tx, distinct(stored), &list); err != nil {
		return err
	}
	if err := t.tx.SendBatch(); err != nil {
		return err
	}
	found := make(map[tasks.Key]tasks.Task, len(list))
	for _, task := range list {
		found[tasks.Key{PipelineExecutionID: task.PipelineExecutionID, TaskName: task.TaskName}] = task
	}
	for i := range t.claims {
		c := &t.claims[i]
		names := c.Definition.PastsNeeded()
		if len(names) > 0 {
			c.Past = make(map[string]definition.Past, len(names))
		}
		for _, name := range names {
			task := found[tasks.Key{PipelineExecutionID: c.Task.PipelineExecutionID, TaskName: name}]
			if n := c.plan.changedNode(name); n != nil {
				task = n.task // it ends in this transaction
			}
			c.Past[name] = pastOf(task)
		}
	}
	return nil
}

// changedNode returns the node of a task that this plan changes; nil if there is none. p may be nil.
func (p *plan) changedNode(name string) *node {
	if p == nil {
		return nil
	}
	if n, ok := p.nodes[name]; ok && n.change != nil {
		return n
	}
	return nil
}

// condition evaluates the condition of a task, its If. All conditions of a plan share one evaluation context, so that
// the input is decoded once. An error of the evaluation itself is a conditionError.
func (p *plan) condition(t *definition.Task) (bool, error) {
	if p.values == nil {
		p.values = &definition.EvalContext{
			Input: json.RawMessage(p.execution.Input), Needs: map[string]json.RawMessage{}, Past: map[string]definition.Past{},
			Run: runOf(p.execution.ID, p.execution.PipelineName, p.execution.Attempt),
		}
	}
	names, pasts := t.ConditionOutputs()
	outputs, err := p.outputs(names)
	if err != nil {
		return false, err
	}
	for name, output := range outputs {
		p.values.Needs[name] = output
	}
	if err := p.ensureLoaded(pasts); err != nil {
		return false, err
	}
	for _, name := range pasts {
		p.values.Past[name] = pastOf(p.nodes[name].task)
	}
	holds, err := t.Condition(p.values)
	if err != nil {
		return false, &conditionError{err}
	}
	return holds, nil
}

// conditionError means that a condition cannot be evaluated. The task is then abandoned, and the plan continues.
type conditionError struct{ err error }

func (e *conditionError) Error() string { return e.err.Error() }
func (e *conditionError) Unwrap() error { return e.err }
