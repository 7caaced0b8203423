package pipelines

import (
	"context"
	"encoding/json"
	"fmt"

	"sluice/modules/outbox"
	"sluice/modules/pipelines/definition"
	"sluice/modules/tasks"
	"sluice/platform/db"
)

// ClaimRequest asks for work.
type ClaimRequest struct {
	Worker         string
	LeaseExpiresAt db.Time // of the worker, as it last renewed it
	Want           outbox.Want
}

// Claim is a task that a worker holds, begun: its handler may run from now on.
type Claim struct {
	Task       tasks.Task // its Version is the fence: every write of the worker names it
	Pipeline   string
	Resumed    bool // after a deferral
	Definition *definition.Task
	Input      json.RawMessage
	Needs      map[string]json.RawMessage // outputs of the dependencies that the task may use
}

// Claim takes due tasks from the outbox for a worker that has a free slot for each, and marks them started. Nothing else gives
// work to a worker. It fails with leases.ErrExpired for one whose lease has expired.
func (e *Engine) Claim(ctx context.Context, r ClaimRequest) ([]Claim, error) {
	for {
		var claims []Claim
		var gone map[db.ID]error
		err := e.db.Transaction(ctx, func(tx db.Tx) (err error) {
			claims, gone, err = e.claim(ctx, tx, r)
			if err == nil && len(gone) > 0 {
				return errDefinitionGone // roll back: those executions are ended first
			}
			return err
		})
		if len(gone) == 0 || !isGone(err) {
			return claims, err
		}
		for id, reason := range gone {
			if err := e.abandon(ctx, id, reason.Error()); err != nil {
				return nil, err
			}
		}
	}
}

func (e *Engine) claim(ctx context.Context, tx db.Tx, r ClaimRequest) (claims []Claim, gone map[db.ID]error, err error) {
	ids, err := e.outbox.Take(tx, r.Want)
	if err != nil || len(ids) == 0 {
		return nil, nil, err
	}
	if err := e.leases.Check(tx, r.Worker); err != nil {
		return nil, nil, err
	}
	list, err := e.tasks.Load(tx, ids)
	if err != nil {
		return nil, nil, err
	}
	byID := make(map[db.ID]tasks.Task, len(list))
	var executions []db.ID
	for _, t := range list {
		byID[t.ID] = t
		executions = append(executions, t.PipelineExecutionID)
	}
	found, err := e.pipelines.inputs(tx, distinct(executions))
	if err != nil {
		return nil, nil, err
	}
	var moves []*tasks.Move
	gone = map[db.ID]error{}
	for _, id := range ids {
		t, ok := byID[id]
		if !ok || t.Status != tasks.Ready {
			continue // a stray row, made by another hand: taking it has removed it
		}
		x := found[t.PipelineExecutionID]
		def, err := e.definitions.find(ctx, tx, x.PipelineName, x.DefinitionVersion)
		if isGone(err) {
			gone[t.PipelineExecutionID] = err
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		dt, ok := def.Task(t.TaskName)
		if !ok {
			gone[t.PipelineExecutionID] = fmt.Errorf("%w: it has no task %q", errDefinitionGone, t.TaskName)
			continue
		}
		m := t.Claim(r.Worker, r.LeaseExpiresAt, tx.Now).MarkStarted()
		moves = append(moves, m)
		claims = append(claims, Claim{Task: m.Task, Pipeline: x.PipelineName, Resumed: t.SubStatus == tasks.Deferred, Definition: dt, Input: json.RawMessage(x.Input)})
	}
	if err := e.tasks.Apply(tx, moves); err != nil {
		return nil, nil, err
	}
	return claims, gone, e.needs(tx, claims)
}

// needs reads the outputs that claimed tasks may use.
func (e *Engine) needs(tx db.Tx, claims []Claim) error {
	var names []tasks.Name
	for _, c := range claims {
		for _, need := range c.Definition.OutputsNeeded() {
			names = append(names, tasks.Name{PipelineExecutionID: c.Task.PipelineExecutionID, TaskName: need})
		}
	}
	if len(names) == 0 {
		return nil
	}
	found, err := e.tasks.Outputs(tx, distinct(names))
	if err != nil {
		return err
	}
	for i := range claims {
		c := &claims[i]
		c.Needs = map[string]json.RawMessage{}
		for _, need := range c.Definition.OutputsNeeded() {
			c.Needs[need] = json.RawMessage(found[tasks.Name{PipelineExecutionID: c.Task.PipelineExecutionID, TaskName: need}])
		}
	}
	return nil
}

// distinct drops repeats, keeping the order.
func distinct[T comparable](list []T) []T {
	seen := make(map[T]bool, len(list))
	out := make([]T, 0, len(list))
	for _, v := range list {
		if !seen[v] {
			seen[v] = true
			out = append(out, v)
		}
	}
	return out
}
