package pipelines

import (
	"context"
	"errors"
	"fmt"

	"sluice/modules/pipelines/definition"
	"sluice/modules/tasks"
	"sluice/platform/db"
)

// Kind is how an attempt came out.
type Kind int

// Succeeded has an output, Erred an error, Deferred a time to go on; Released was given back unfinished by a worker that stops.
const (
	Succeeded Kind = iota
	Erred
	Deferred
	Released
)

// Outcome is how one claimed task came out.
type Outcome struct {
	Claim          *Claim
	Kind           Kind
	Output         db.JSON         // of Succeeded: checked JSON or nil
	ErrorKind      tasks.ErrorKind // of Erred
	Error          string          // of Erred: clean text
	Final          bool            // of Erred: no further attempt, whatever the policy says
	Until          db.Time         // of Deferred
	Reason         string          // of Deferred and Released
	Stdout, Stderr string          // what the attempt wrote; clean text
}

// Finish records outcomes, and all that follows from them: retries, successors ready or skipped, pipelines ended. The answer has
// an error for each outcome: nil, or tasks.ErrClaimLost for a task that another write has taken from the worker meanwhile;
// such an outcome leaves nothing. If the second result is not nil, nothing at all was recorded.
func (e *Engine) Finish(ctx context.Context, worker string, outcomes []*Outcome) ([]error, error) {
	var lost []error
	ready := 0
	err := e.db.Transaction(ctx, func(tx db.Tx) (err error) {
		lost, ready, err = e.finish(ctx, tx, worker, outcomes)
		return err
	})
	if err != nil {
		return nil, err
	}
	e.waker.committed(ctx, ready > 0)
	return lost, nil
}

func (e *Engine) finish(ctx context.Context, tx db.Tx, worker string, outcomes []*Outcome) ([]error, int, error) {
	groups, order := map[db.ID][]*Outcome{}, []db.ID{}
	for _, o := range outcomes {
		id := o.Claim.Task.PipelineExecutionID
		if groups[id] == nil {
			order = append(order, id)
		}
		groups[id] = append(groups[id], o)
	}
	locked, err := e.pipelines.lock(tx, order)
	if err != nil {
		return nil, 0, err
	}
	near, err := e.near(ctx, tx, locked, groups)
	if err != nil {
		return nil, 0, err
	}
	lost := map[*Outcome]bool{}
	plans := make([]*plan, 0, len(order))
	for _, id := range order {
		if _, exists := locked[id]; !exists {
			for _, o := range groups[id] {
				lost[o] = true
			}
			continue
		}
		p, ok := near[id]
		if ok {
			err = p.finish(worker, groups[id], lost)
		}
		if !ok || errors.Is(err, errNeedWhole) {
			if p, err = e.whole(ctx, tx, locked[id]); err == nil {
				err = p.finish(worker, groups[id], lost)
			}
		}
		if err != nil {
			return nil, 0, fmt.Errorf("pipeline execution %s: %w", id, err)
		}
		plans = append(plans, p)
	}
	_, ready, err := e.write(tx, plans)
	if err != nil {
		return nil, 0, err
	}
	result := make([]error, len(outcomes))
	for i, o := range outcomes {
		if lost[o] {
			result[i] = tasks.ErrClaimLost
		}
	}
	return result, ready, e.tasks.KeepLogs(tx, logs(outcomes, lost))
}

// near plans, for those executions where all went well so far, over the ended tasks and their direct dependents alone, read in
// one statement for all executions.
func (e *Engine) near(ctx context.Context, tx db.Tx, locked map[db.ID]Execution, groups map[db.ID][]*Outcome) (map[db.ID]*plan, error) {
	var names []tasks.Name
	var conditional []db.ID
	plans := map[db.ID]*plan{}
	for id, x := range locked {
		if x.UnsuccessfulTasks > 0 {
			continue
		}
		def, err := e.definitions.find(ctx, tx, x.PipelineName, x.DefinitionVersion)
		if err != nil {
			return nil, err
		}
		around, conditions := surroundings(id, def, groups[id])
		names = append(names, around...)
		if conditions {
			conditional = append(conditional, id)
		}
		plans[id] = newPlan(x, def, nil, false, tx.Now)
	}
	list, err := e.tasks.LoadNames(tx, distinct(names))
	if err != nil {
		return nil, err
	}
	for _, t := range list {
		plans[t.PipelineExecutionID].nodes[t.TaskName] = &node{name: t.TaskName, task: t, remaining: t.RemainingDependencies}
	}
	inputs, err := e.pipelines.inputs(tx, conditional)
	for id, p := range plans {
		p.execution.Input, p.outputs = inputs[id].Input, e.outputs(tx, p)
	}
	return plans, err
}

// surroundings names the tasks that outcomes are about and those that follow directly; conditions: one of these has an `if`.
func surroundings(id db.ID, def *definition.Definition, group []*Outcome) (names []tasks.Name, conditions bool) {
	for _, o := range group {
		name := o.Claim.Task.TaskName
		names = append(names, tasks.Name{PipelineExecutionID: id, TaskName: name})
		if o.Kind != Succeeded {
			continue
		}
		for _, d := range def.Dependents(name) {
			names = append(names, tasks.Name{PipelineExecutionID: id, TaskName: d})
			if t, ok := def.Task(d); ok && t.If != "" {
				conditions = true
			}
		}
	}
	return names, conditions
}

// finish enters outcomes into the plan. An outcome whose claim is lost moves nothing.
func (p *plan) finish(worker string, outcomes []*Outcome, lost map[*Outcome]bool) error {
	p.worker = worker
	for _, o := range outcomes {
		n, ok := p.nodes[o.Claim.Task.TaskName]
		if !ok || n.task.Status != tasks.Running || n.task.Version != o.Claim.Task.Version {
			lost[o] = true
			continue
		}
		p.take(n, p.outcome(n.task, o))
	}
	if err := p.propagate(); err != nil {
		return err
	}
	_, err := p.settle() // does this plan know enough to end the execution?
	return err
}

// outcome is the move that an outcome means.
func (p *plan) outcome(t tasks.Task, o *Outcome) *tasks.Move {
	switch o.Kind {
	case Succeeded:
		return t.Complete(o.Output, p.now)
	case Deferred:
		until := o.Until
		if until.Before(p.now.Time) {
			until = p.now // a time that is past means at once, and is no way to the head of the queue
		}
		return t.Defer(until, o.Reason, p.now)
	case Released:
		return t.Release(o.Reason, p.now)
	}
	policy := o.Claim.Definition.Retry
	if !o.Final && t.AttemptsLeft() && policy.Retryable(o.ErrorKind) {
		return t.ScheduleRetry(o.ErrorKind, o.Error, policy.DelayAfter(t.Attempt-t.Recoveries, random()), p.now)
	}
	return t.Fail(o.ErrorKind, o.Error, p.now)
}

func logs(outcomes []*Outcome, lost map[*Outcome]bool) []tasks.Log {
	var list []tasks.Log
	for _, o := range outcomes {
		if !lost[o] && (o.Stdout != "" || o.Stderr != "") {
			list = append(list, tasks.Log{TaskExecutionID: o.Claim.Task.ID, Attempt: o.Claim.Task.Attempt, Stdout: o.Stdout, Stderr: o.Stderr})
		}
	}
	return list
}
