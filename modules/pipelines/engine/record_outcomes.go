package engine

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// RecordOutcomes records outcomes and everything that follows from them: retries, successors that become ready or
// skipped, and the ends of pipeline executions. It is an exchange that claims nothing.
//
// The first result has one entry for each outcome: nil, or tasks.ErrClaimLost if the worker no longer holds the task,
// in which case the outcome has no effect. If the second result is not nil, no outcome was recorded.
func (e *Engine) RecordOutcomes(ctx context.Context, worker string, outcomes []*pipelines.Outcome) ([]error, error) {
	t, err := e.CompleteAndClaim(ctx, ExchangeRequest{Worker: worker, Outcomes: outcomes})
	return t.Conflicts, err
}

// executionOutcomes holds the outcomes of one execution.
type executionOutcomes struct {
	id       dbtype.ID
	outcomes []*pipelines.Outcome
	def      *definition.Definition // nil: unknown to the claims
	input    json.RawMessage        // of the execution; set if def is
	loaded   []tasks.Task           // the direct dependents, and the ended tasks
	plan     *pipelines.Plan
}

// counts holds the counters of an execution.
type counts struct{ open, unsuccessful int }

// succeeded returns by how much the number of open tasks decreases if all claims hold and nothing else follows.
func (g *executionOutcomes) succeeded() (n int64) {
	for _, o := range g.outcomes {
		if o.Kind == pipelines.OutcomeSucceeded {
			n++
		}
	}
	return n
}

// groupByExecution groups outcomes by execution, in the order of the first outcome of each.
func groupByExecution(outcomes []*pipelines.Outcome) []*executionOutcomes {
	byID := make(map[dbtype.ID]*executionOutcomes, len(outcomes))
	var list []*executionOutcomes
	for _, o := range outcomes {
		id := o.Claim.Task.PipelineExecutionID
		g := byID[id]
		if g == nil {
			g = &executionOutcomes{id: id, def: o.Claim.Graph, input: o.Claim.Input}
			byID[id], list = g, append(list, g)
		}
		g.outcomes = append(g.outcomes, o)
		if o.Claim.Graph == nil {
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
		if o.Kind != pipelines.OutcomeSucceeded {
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

// plan computes what follows from the outcomes. It uses the ended tasks and their direct dependents if that is
// sufficient, and the full graph otherwise.
func (t *exchange) plan(ctx context.Context) ([]*pipelines.Plan, error) {
	plans := make([]*pipelines.Plan, 0, len(t.groups))
	for _, g := range t.groups {
		x, exists := t.locked[g.id]
		if !exists {
			for _, o := range g.outcomes {
				t.conflicts[o] = true
			}
			continue
		}
		lost, err := t.planGroup(ctx, g, x)
		if err != nil {
			return nil, fmt.Errorf("pipeline execution %s: %w", g.id, err)
		}
		for _, o := range lost {
			t.conflicts[o] = true
		}
		plans, t.plans[g.id] = append(plans, g.plan), g.plan
	}
	return plans, nil
}

// planGroup plans the outcomes of one execution. It returns those with a lost claim.
func (t *exchange) planGroup(
	ctx context.Context, g *executionOutcomes, x pipelines.Execution,
) (lost []*pipelines.Outcome, err error) {
	if g.def != nil {
		x.Input = dbtype.JSON(g.input)
		g.plan = pipelines.NewPlan(x, g.def, g.loaded, false, t.tx.Now)
		lost = g.plan.RecordOutcomes(t.Worker, g.outcomes)
		missing, err := t.engine.advance(t.tx, g.plan)
		if err != nil || !missing.FullGraph {
			return lost, err
		}
	}
	if g.plan, err = t.engine.fullPlan(ctx, t.tx, t.locked[g.id]); err != nil {
		return nil, err
	}
	lost = g.plan.RecordOutcomes(t.Worker, g.outcomes)
	_, err = t.engine.advance(t.tx, g.plan)
	return lost, err
}

func logs(outcomes []*pipelines.Outcome, lost map[*pipelines.Outcome]bool) []tasks.Written {
	var list []tasks.Written
	for _, o := range outcomes {
		if !lost[o] && !o.Logs.Empty() {
			list = append(list, o.Logs)
		}
	}
	return list
}
