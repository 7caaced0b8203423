package pipelines

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db"
)

// OutcomeKind is the kind of result of an attempt.
type OutcomeKind int

// The kinds of outcomes. A released task was returned unfinished by a worker that stops.
const (
	OutcomeSucceeded OutcomeKind = iota
	OutcomeFailed
	OutcomeDeferred
	OutcomeReleased
	OutcomeSkipped // the handler returned a tasks.SkipError
)

// Outcome is the result of one claimed task.
type Outcome struct {
	Claim        *Claim
	Kind         OutcomeKind
	Output       db.JSON         // of OutcomeSucceeded: valid JSON or nil
	ErrorKind    tasks.ErrorKind // of OutcomeFailed
	Error        string          // of OutcomeFailed: sanitized text
	Exit         *int            // exit code of the attempt's command; nil if it ran none to its end
	NonRetryable bool            // of OutcomeFailed: no further attempt, regardless of the policy
	RetryAfter   time.Duration   // of OutcomeFailed: minimum delay before the next attempt
	Until        db.Time         // of OutcomeDeferred
	Reason       string          // of OutcomeDeferred and OutcomeReleased
	Logs         tasks.Written   // output that has not been stored yet
	RetryAt      db.Time         // of OutcomeFailed, set when it is recorded: when the next attempt is due; null: none
}

// RecordOutcomes records outcomes and everything that follows from them: retries, successors that become ready or
// skipped, and the ends of pipeline executions. It is an exchange that claims nothing.
//
// The first result has one entry for each outcome: nil, or tasks.ErrClaimLost if the worker no longer holds the task,
// in which case the outcome has no effect. If the second result is not nil, no outcome was recorded.
func (e *Engine) RecordOutcomes(ctx context.Context, worker string, outcomes []*Outcome) ([]error, error) {
	t, err := e.CompleteAndClaim(ctx, ExchangeRequest{Worker: worker, Outcomes: outcomes})
	return t.Conflicts, err
}

// executionOutcomes holds the outcomes of one execution.
type executionOutcomes struct {
	id        db.ID
	outcomes  []*Outcome
	def       *definition.Definition // nil: unknown to the claims
	input     json.RawMessage        // of the execution; set if def is
	loaded    []tasks.Task           // the direct dependents, and the ended tasks
	plan      *plan
	persisted counts // the counters now stored in the execution's row
}

// counts holds the counters of an execution.
type counts struct{ open, unsuccessful int }

// succeeded returns by how much the number of open tasks decreases if all claims hold and nothing else follows.
func (g *executionOutcomes) succeeded() (n int64) {
	for _, o := range g.outcomes {
		if o.Kind == OutcomeSucceeded {
			n++
		}
	}
	return n
}

// groupByExecution groups outcomes by execution, in the order of the first outcome of each.
func groupByExecution(outcomes []*Outcome) []*executionOutcomes {
	byID := make(map[db.ID]*executionOutcomes, len(outcomes))
	var list []*executionOutcomes
	for _, o := range outcomes {
		id := o.Claim.Task.PipelineExecutionID
		g := byID[id]
		if g == nil {
			g = &executionOutcomes{id: id, def: o.Claim.def, input: o.Claim.Input}
			byID[id], list = g, append(list, g)
		}
		g.outcomes = append(g.outcomes, o)
		if o.Claim.def == nil {
			g.def = nil // a claim that was looked up, not made here: plan with the full graph
		}
	}
	return list
}

// tasksToLoad returns the keys of the tasks to read: the ended tasks and their direct dependents. With trust, it uses
// the claims instead of reading the ended tasks, and does not read dependents that cannot have changed. This is safe
// because a version conflict rolls the transaction back if a row differs.
func (g *executionOutcomes) tasksToLoad(trust bool) (names []tasks.Key) {
	if g.def == nil {
		return nil
	}
	for _, o := range g.outcomes {
		name := o.Claim.Task.TaskName
		if trust {
			g.loaded = append(g.loaded, o.Claim.Task)
		} else {
			names = append(names, tasks.Key{PipelineExecutionID: g.id, TaskName: name})
		}
		if o.Kind != OutcomeSucceeded {
			continue
		}
		for _, d := range g.def.Dependents(name) {
			if next, known := g.unmodifiedSuccessor(&o.Claim.Task, d); trust && known {
				g.loaded = append(g.loaded, next)
			} else {
				names = append(names, tasks.Key{PipelineExecutionID: g.id, TaskName: d})
			}
		}
	}
	return names
}

// firstRunVersion is the version of a task whose first attempt runs: after created, ready, claimed, started.
const firstRunVersion = 4

// unmodifiedSuccessor returns the initial row of a dependent that cannot have changed since its creation, because it
// depends only on the ended task and that has run once. If the row did change, a version conflict results.
func (g *executionOutcomes) unmodifiedSuccessor(ended *tasks.Task, dependent string) (t tasks.Task, known bool) {
	i, from := g.def.IndexOf(dependent), g.def.IndexOf(ended.TaskName)
	if ended.Version != firstRunVersion || from < 0 || i < 0 || len(g.def.Tasks[i].Needs) != 1 || ended.ID != g.id.Offset(from+1) {
		return t, false
	}
	n := newTask(g.id, g.def, i)
	return n.InitialRow(), true
}

// plan computes what follows from the outcomes. It uses the ended tasks and their direct dependents if that is
// sufficient, and the full graph otherwise.
func (t *exchange) plan(ctx context.Context) ([]*plan, error) {
	plans := make([]*plan, 0, len(t.groups))
	for _, g := range t.groups {
		x, exists := t.locked[g.id]
		if !exists {
			for _, o := range g.outcomes {
				t.conflicts[o] = true
			}
			continue
		}
		var lost []*Outcome
		err := errNeedFullGraph
		if g.def != nil {
			x.Input = db.JSON(g.input)
			g.plan = newPlan(x, g.def, g.loaded, false, t.tx.Now)
			g.plan.loadTasks = t.fetch(g.id)
			g.plan.outputs = t.engine.outputs(t.tx, g.plan)
			lost, err = g.plan.recordOutcomes(t.Worker, g.outcomes)
		}
		if errors.Is(err, errNeedFullGraph) {
			if g.plan, err = t.engine.fullPlan(ctx, t.tx, t.locked[g.id]); err == nil {
				lost, err = g.plan.recordOutcomes(t.Worker, g.outcomes)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("pipeline execution %s: %w", g.id, err)
		}
		for _, o := range lost {
			t.conflicts[o] = true
		}
		g.plan.persisted = &g.persisted
		plans = append(plans, g.plan)
	}
	return plans, nil
}

// recordOutcomes adds outcomes to the plan. It returns those with a lost claim, which change nothing.
func (p *plan) recordOutcomes(worker string, outcomes []*Outcome) (lost []*Outcome, err error) {
	p.worker = worker
	for _, o := range outcomes {
		n, ok := p.nodes[o.Claim.Task.TaskName]
		if !ok || !n.task.UnderClaim(&o.Claim.Task) {
			lost = append(lost, o)
			continue
		}
		p.record(n, p.changeFor(n.task, o))
	}
	if err = p.notifyDependents(); err == nil {
		_, err = p.finishIfDone() // checks whether the plan needs the full graph to end the execution
	}
	return lost, err
}

// changeFor returns the change that an outcome causes.
func (p *plan) changeFor(t tasks.Task, o *Outcome) *tasks.Change {
	switch o.Kind {
	case OutcomeSucceeded:
		return t.Complete(o.Output, o.Exit, p.now)
	case OutcomeDeferred:
		until := o.Until
		if until.Before(p.now.Time) {
			until = p.now // a time in the past must not move the task ahead in the queue
		}
		return t.Defer(until, o.Reason, p.now)
	case OutcomeReleased:
		return t.Release(o.Reason, p.now)
	case OutcomeSkipped:
		return t.SkipRunning(*o.Exit, string(o.Claim.Definition.TriggerRule), p.now)
	}
	policy := o.Claim.Definition.Retry
	o.RetryAt = db.Time{}
	if !o.NonRetryable && t.AttemptsLeft() && policy.Retryable(o.ErrorKind) {
		delay := max(policy.DelayAfter(t.Attempt-t.Recoveries, random()), min(o.RetryAfter, tasks.LongestDelay))
		m := t.ScheduleRetry(o.ErrorKind, o.Error, o.Exit, delay, p.now)
		o.RetryAt = m.Task.RetryAt
		return m
	}
	return t.Fail(o.ErrorKind, o.Error, o.Exit, p.now)
}

// fetch returns a function that loads tasks of an execution by name.
func (t *exchange) fetch(id db.ID) func([]string) ([]tasks.Task, error) {
	return func(names []string) (list []tasks.Task, err error) {
		of := make([]tasks.Key, len(names))
		for i, name := range names {
			of[i] = tasks.Key{PipelineExecutionID: id, TaskName: name}
		}
		if err = t.engine.tasks.QueueLoadByKey(t.tx, of, &list); err == nil {
			err = t.tx.SendBatch()
		}
		return list, err
	}
}

func logs(outcomes []*Outcome, lost map[*Outcome]bool) []tasks.Written {
	var list []tasks.Written
	for _, o := range outcomes {
		if !lost[o] && !o.Logs.Empty() {
			list = append(list, o.Logs)
		}
	}
	return list
}
