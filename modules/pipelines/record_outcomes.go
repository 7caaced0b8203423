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

// OutcomeKind is how an attempt came out.
type OutcomeKind int

// Succeeded has an output, Erred an error, Deferred a time to go on; Released was given back unfinished by a worker
// that stops.
const (
	OutcomeSucceeded OutcomeKind = iota
	OutcomeFailed
	OutcomeDeferred
	OutcomeReleased
	SkippedItself // the handler found nothing to do
)

// Outcome is how one claimed task came out.
type Outcome struct {
	Claim        *Claim
	Kind         OutcomeKind
	Output       db.JSON         // of Succeeded: checked JSON or nil
	ErrorKind    tasks.ErrorKind // of Erred
	Error        string          // of Erred: clean text
	Exit         *int            // exit code of the attempt's command, if it ran one to its end
	NonRetryable bool            // of Erred: no further attempt, whatever the policy says
	RetryAfter   time.Duration   // of Erred: the next attempt comes no earlier, if there is one
	Until        db.Time         // of Deferred
	Reason       string          // of Deferred and Released
	Logs         tasks.Written   // what the attempt wrote and has not stored yet
	RetryAt      db.Time         // of Erred, once it is recorded: when the next attempt is due; null: there is none
}

// RecordOutcomes records outcomes, and all that follows from them: retries, successors ready or skipped, pipelines
// ended: a Turn that claims nothing. The answer has an error for each outcome: nil, or tasks.ErrClaimLost for a task
// that another write has taken from the worker meanwhile; such an outcome leaves nothing. If the second result is not
// nil, nothing at all was recorded.
func (e *Engine) RecordOutcomes(ctx context.Context, worker string, outcomes []*Outcome) ([]error, error) {
	t, err := e.CompleteAndClaim(ctx, ExchangeRequest{Worker: worker, Outcomes: outcomes})
	return t.Conflicts, err
}

// executionOutcomes is the outcomes of one execution.
type executionOutcomes struct {
	id        db.ID
	outcomes  []*Outcome
	def       *definition.Definition // nil: the claims do not know it
	input     json.RawMessage        // of the execution, if def is known
	loaded    []tasks.Task           // the direct dependents; and the ended tasks, unless their claims are trusted
	plan      *plan
	persisted counts // what the execution's row has by now
}

// counts are the counters of an execution.
type counts struct{ open, unsuccessful int }

// succeeded is by how many the open tasks become fewer, if all claims hold and nothing else follows.
func (g *executionOutcomes) succeeded() (n int64) {
	for _, o := range g.outcomes {
		if o.Kind == OutcomeSucceeded {
			n++
		}
	}
	return n
}

// groupByExecution parts outcomes by execution, in the order of their first ones.
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
			g.def = nil // a claim that was found, not made: all of the execution is looked at
		}
	}
	return list
}

// tasksToLoad names what is to be read of the tasks: those that follow directly, and those that the outcomes are about,
// unless the claims are trusted. A trusted claim is how the row is, or the guard of its version ends the transaction;
// so is a successor that nothing can have moved yet.
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

// firstRunVersion is the version of a task that runs for the first time: created, ready, claimed, started.
const firstRunVersion = 4

// unmodifiedSuccessor gives a dependent as it was created, if it waits for the ended task alone and that one has run
// but once: then nothing has moved it, or the guard of its version shows it.
func (g *executionOutcomes) unmodifiedSuccessor(ended *tasks.Task, dependent string) (t tasks.Task, known bool) {
	i, from := g.def.IndexOf(dependent), g.def.IndexOf(ended.TaskName)
	if ended.Version != firstRunVersion || from < 0 || i < 0 || len(g.def.Tasks[i].Needs) != 1 || ended.ID != g.id.Offset(from+1) {
		return t, false
	}
	n := newTask(g.id, g.def, i)
	return n.InitialRow(), true
}

// plan works out what follows from the outcomes, from the ended tasks and their direct dependents alone, if that will
// do.
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

// recordOutcomes enters outcomes into the plan, and gives those whose claim is lost: they move nothing.
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
		_, err = p.finishIfDone() // does this plan know enough to end the execution?
	}
	return lost, err
}

// changeFor is the move that an outcome means.
func (p *plan) changeFor(t tasks.Task, o *Outcome) *tasks.Change {
	switch o.Kind {
	case OutcomeSucceeded:
		return t.Complete(o.Output, o.Exit, p.now)
	case OutcomeDeferred:
		until := o.Until
		if until.Before(p.now.Time) {
			until = p.now // a time that is past means at once, and is no way to the head of the queue
		}
		return t.Defer(until, o.Reason, p.now)
	case OutcomeReleased:
		return t.Release(o.Reason, p.now)
	case SkippedItself:
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

// fetch reads tasks of an execution by name.
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
