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

// Kind is how an attempt came out.
type Kind int

// Succeeded has an output, Erred an error, Deferred a time to go on; Released was given back unfinished by a worker that stops.
const (
	Succeeded Kind = iota
	Erred
	Deferred
	Released
	SkippedItself // the handler found nothing to do
)

// Outcome is how one claimed task came out.
type Outcome struct {
	Claim      *Claim
	Kind       Kind
	Output     db.JSON         // of Succeeded: checked JSON or nil
	ErrorKind  tasks.ErrorKind // of Erred
	Error      string          // of Erred: clean text
	Exit       *int            // exit code of the attempt's command, if it ran one to its end
	Final      bool            // of Erred: no further attempt, whatever the policy says
	RetryAfter time.Duration   // of Erred: the next attempt comes no earlier, if there is one
	Until      db.Time         // of Deferred
	Reason     string          // of Deferred and Released
	Logs       tasks.Written   // what the attempt wrote and has not stored yet
	RetryAt    db.Time         // of Erred, once it is recorded: when the next attempt is due; null: there is none
}

// Finish records outcomes, and all that follows from them: retries, successors ready or skipped, pipelines ended: a Turn that claims
// nothing. The answer has an error for each outcome: nil, or tasks.ErrClaimLost for a task that another write has taken from the
// worker meanwhile; such an outcome leaves nothing. If the second result is not nil, nothing at all was recorded.
func (e *Engine) Finish(ctx context.Context, worker string, outcomes []*Outcome) ([]error, error) {
	t, err := e.Turn(ctx, Turn{Worker: worker, Outcomes: outcomes})
	return t.Lost, err
}

// group is the outcomes of one execution.
type group struct {
	id       db.ID
	outcomes []*Outcome
	def      *definition.Definition // nil: the claims do not know it
	input    json.RawMessage        // of the execution, if def is known
	near     []tasks.Task           // the direct dependents; and the ended tasks, unless their claims are trusted
	plan     *plan
	written  counts // what the execution's row has by now
}

// counts are the counters of an execution.
type counts struct{ open, unsuccessful int }

// succeeded is by how many the open tasks become fewer, if all claims hold and nothing else follows.
func (g *group) succeeded() (n int64) {
	for _, o := range g.outcomes {
		if o.Kind == Succeeded {
			n++
		}
	}
	return n
}

// grouped parts outcomes by execution, in the order of their first ones.
func grouped(outcomes []*Outcome) []*group {
	byID := make(map[db.ID]*group, len(outcomes))
	var list []*group
	for _, o := range outcomes {
		id := o.Claim.Task.PipelineExecutionID
		g := byID[id]
		if g == nil {
			g = &group{id: id, def: o.Claim.def, input: o.Claim.Input}
			byID[id], list = g, append(list, g)
		}
		g.outcomes = append(g.outcomes, o)
		if o.Claim.def == nil {
			g.def = nil // a claim that was found, not made: all of the execution is looked at
		}
	}
	return list
}

// surroundings names what is to be read of the tasks: those that follow directly, and those that the outcomes are about, unless the
// claims are trusted. A trusted claim is how the row is, or the guard of its version ends the transaction; so is a successor that
// nothing can have moved yet.
func (g *group) surroundings(trust bool) (names []tasks.Name) {
	if g.def == nil {
		return nil
	}
	for _, o := range g.outcomes {
		name := o.Claim.Task.TaskName
		if trust {
			g.near = append(g.near, o.Claim.Task)
		} else {
			names = append(names, tasks.Name{PipelineExecutionID: g.id, TaskName: name})
		}
		if o.Kind != Succeeded {
			continue
		}
		for _, d := range g.def.Dependents(name) {
			if next, known := g.untouched(&o.Claim.Task, d); trust && known {
				g.near = append(g.near, next)
			} else {
				names = append(names, tasks.Name{PipelineExecutionID: g.id, TaskName: d})
			}
		}
	}
	return names
}

// atFirst is the version of a task that runs for the first time: created, ready, claimed, started.
const atFirst = 4

// untouched gives a dependent as it was created, if it waits for the ended task alone and that one has run but once: then nothing
// has moved it, or the guard of its version shows it.
func (g *group) untouched(ended *tasks.Task, dependent string) (t tasks.Task, known bool) {
	i, from := g.def.Place(dependent), g.def.Place(ended.TaskName)
	if ended.Version != atFirst || from < 0 || i < 0 || len(g.def.Tasks[i].Needs) != 1 || ended.ID != g.id.Next(from+1) {
		return t, false
	}
	n := newTask(g.id, g.def, i)
	return n.Created(), true
}

// plan works out what follows from the outcomes, from the ended tasks and their direct dependents alone, if that will do.
func (t *turn) plan(ctx context.Context) ([]*plan, error) {
	plans := make([]*plan, 0, len(t.groups))
	for _, g := range t.groups {
		x, exists := t.locked[g.id]
		if !exists {
			for _, o := range g.outcomes {
				t.lost[o] = true
			}
			continue
		}
		var lost []*Outcome
		err := errNeedWhole
		if g.def != nil {
			x.Input = db.JSON(g.input)
			g.plan = newPlan(x, g.def, g.near, false, t.tx.Now)
			g.plan.fetch = t.fetch(g.id)
			g.plan.outputs = t.engine.outputs(t.tx, g.plan)
			lost, err = g.plan.finish(t.Worker, g.outcomes)
		}
		if errors.Is(err, errNeedWhole) {
			if g.plan, err = t.engine.whole(ctx, t.tx, t.locked[g.id]); err == nil {
				lost, err = g.plan.finish(t.Worker, g.outcomes)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("pipeline execution %s: %w", g.id, err)
		}
		for _, o := range lost {
			t.lost[o] = true
		}
		g.plan.written = &g.written
		plans = append(plans, g.plan)
	}
	return plans, nil
}

// finish enters outcomes into the plan, and gives those whose claim is lost: they move nothing.
func (p *plan) finish(worker string, outcomes []*Outcome) (lost []*Outcome, err error) {
	p.worker = worker
	for _, o := range outcomes {
		n, ok := p.nodes[o.Claim.Task.TaskName]
		if !ok || !n.task.UnderClaim(&o.Claim.Task) {
			lost = append(lost, o)
			continue
		}
		p.take(n, p.outcome(n.task, o))
	}
	if err = p.propagate(); err == nil {
		_, err = p.settle() // does this plan know enough to end the execution?
	}
	return lost, err
}

// outcome is the move that an outcome means.
func (p *plan) outcome(t tasks.Task, o *Outcome) *tasks.Move {
	switch o.Kind {
	case Succeeded:
		return t.Complete(o.Output, o.Exit, p.now)
	case Deferred:
		until := o.Until
		if until.Before(p.now.Time) {
			until = p.now // a time that is past means at once, and is no way to the head of the queue
		}
		return t.Defer(until, o.Reason, p.now)
	case Released:
		return t.Release(o.Reason, p.now)
	case SkippedItself:
		return t.SkipRunning(*o.Exit, string(o.Claim.Definition.TriggerRule), p.now)
	}
	policy := o.Claim.Definition.Retry
	o.RetryAt = db.Time{}
	if !o.Final && t.AttemptsLeft() && policy.Retryable(o.ErrorKind) {
		delay := max(policy.DelayAfter(t.Attempt-t.Recoveries, random()), min(o.RetryAfter, tasks.LongestDelay))
		m := t.ScheduleRetry(o.ErrorKind, o.Error, o.Exit, delay, p.now)
		o.RetryAt = m.Task.RetryAt
		return m
	}
	return t.Fail(o.ErrorKind, o.Error, o.Exit, p.now)
}

// fetch reads tasks of an execution by name.
func (t *turn) fetch(id db.ID) func([]string) ([]tasks.Task, error) {
	return func(names []string) (list []tasks.Task, err error) {
		of := make([]tasks.Name, len(names))
		for i, name := range names {
			of[i] = tasks.Name{PipelineExecutionID: id, TaskName: name}
		}
		if err = t.engine.tasks.LoadNamesLater(t.tx, of, &list); err == nil {
			err = t.tx.Flush()
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
