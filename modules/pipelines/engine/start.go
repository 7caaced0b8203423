package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// StartRequest describes a run to start.
type StartRequest struct {
	Definition *definition.Definition
	Input      json.RawMessage // checked against the definition; nil: {}
	// a second start with the same key returns the first run, or ErrKeyReused if its input differs
	IdempotencyKey string
	ThisDefinition bool              // the first run with the key must also have this version of the definition
	Labels         map[string]string // added to those of the definition, and take precedence
	Actor          string
	ReservedFor    string // the worker that alone may claim the run's tasks while it has a row; empty: any
}

// StartResult is the result of a StartRequest.
type StartResult struct {
	ID       dbtype.ID
	Existing bool // the run had already been started with the idempotency key
}

// tasksPerStart is the maximum number of tasks that one transaction starts, unless a single run has more. Larger
// transactions are not faster, and others wait longer for them.
const tasksPerStart = 2000

// Start starts runs. It writes each run with its tasks, events and outbox rows in one transaction. Many runs need
// several transactions. If one fails, Start returns its error and the results of the runs that were already committed.
func (e *Engine) Start(ctx context.Context, requests []StartRequest) ([]StartResult, error) {
	started := make([]StartResult, 0, len(requests))
	for len(requests) > 0 {
		n, size := 0, 0
		for n < len(requests) && (n == 0 || size+len(requests[n].Definition.Tasks) <= tasksPerStart) {
			size += len(requests[n].Definition.Tasks)
			n++
		}
		batch, err := e.startBatch(ctx, requests[:n])
		started = append(started, batch...)
		if err != nil {
			return started, err
		}
		requests = requests[n:]
	}
	return started, nil
}

func (e *Engine) startBatch(ctx context.Context, requests []StartRequest) ([]StartResult, error) {
	inputs := make([]json.RawMessage, len(requests))
	for i, r := range requests {
		in, err := r.Definition.CheckInput(r.Input)
		if err != nil {
			return nil, err
		}
		inputs[i] = in
	}
	var started []StartResult
	var plans []*pipelines.Plan
	ready := 0
	err := e.db.Write(ctx, func(b *db.Batch) (err error) {
		if started, plans, err = e.start(ctx, b, requests, inputs); err == nil {
			ready, err = e.write(b, plans, asInserted(plans))
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	e.startCache.add(plans)
	e.notifier.committed(ctx, ready > 0)
	return started, nil
}

// asInserted returns the counters with which the rows of new executions were inserted.
func asInserted(plans []*pipelines.Plan) map[dbtype.ID]counts {
	stored := make(map[dbtype.ID]counts, len(plans))
	for _, p := range plans {
		stored[p.Execution.ID] = counts{open: len(p.Definition.Tasks)}
	}
	return stored
}

func (e *Engine) start(
	ctx context.Context, b *db.Batch, requests []StartRequest, inputs []json.RawMessage,
) ([]StartResult, []*pipelines.Plan, error) {
	tx := b.Tx()
	started := make([]StartResult, len(requests))
	moves := make([]*pipelines.Change, len(requests))
	versions := map[*definition.Definition]string{}
	for i, r := range requests {
		version, ok := versions[r.Definition]
		if !ok {
			var err error
			if version, err = e.definitions.pin(ctx, b, r.Definition); err != nil {
				return nil, nil, err
			}
			versions[r.Definition] = version
		}
		started[i].ID = dbtype.NewID()
		moves[i] = pipelines.Execution{
			ID: started[i].ID, PipelineName: r.Definition.Name, DefinitionVersion: version,
			Input:          dbtype.JSON(inputs[i]),
			IdempotencyKey: dbtype.Text(r.IdempotencyKey), Attempt: 1, OpenTasks: len(r.Definition.Tasks),
			CreatedAt: tx.Now,
			Labels:    pipelines.MergedLabels(r.Definition.Labels, r.Labels), ReservedFor: dbtype.Text(r.ReservedFor),
			DeadlineAt: pipelines.Deadline(r.Definition, tx.Now),
		}.Start(len(r.Definition.Tasks))
		moves[i].Actor = r.Actor
	}
	reserved := make([]string, len(requests))
	for i, r := range requests {
		reserved[i] = r.ReservedFor
	}
	if err := e.checkReserved(tx, reserved...); err != nil {
		return nil, nil, err
	}
	written, err := e.pipelines.insert(b, moves)
	if err != nil {
		return nil, nil, err
	}
	var plans []*pipelines.Plan
	for i, r := range requests {
		if !written[started[i].ID] {
			started[i].Existing = true
			if started[i].ID, err = e.repeated(tx, r, &moves[i].Execution); err != nil {
				return nil, nil, err
			}
			continue
		}
		p := pipelines.PlanStart(moves[i].Execution, r.Definition, tx.Now, r.Actor)
		if _, err := e.advance(tx, p); err != nil {
			return nil, nil, fmt.Errorf("start pipeline %q: %w", r.Definition.Name, err)
		}
		plans = append(plans, p)
	}
	return started, plans, nil
}

// repeated returns the id of the run that a request's key has started. It returns ErrKeyReused if that run does not
// match the request.
func (e *Engine) repeated(tx db.Tx, r StartRequest, asked *pipelines.Execution) (dbtype.ID, error) {
	before, err := e.pipelines.byKey(tx, r.Definition.Name, r.IdempotencyKey)
	if err != nil {
		return dbtype.ID{}, err
	}
	was, err := before.Input.Canonical()
	if err != nil {
		return dbtype.ID{}, fmt.Errorf("input of pipeline execution %s: %w", before.ID, err)
	}
	is, err := asked.Input.Canonical()
	switch {
	case err != nil:
		return dbtype.ID{}, err
	case !bytes.Equal(was, is):
		return dbtype.ID{}, fmt.Errorf("%w: %q started pipeline execution %s with another input",
			pipelines.ErrKeyReused, r.IdempotencyKey, before.ID)
	case r.ThisDefinition && before.DefinitionVersion != asked.DefinitionVersion:
		return dbtype.ID{}, fmt.Errorf("%w: %q started pipeline execution %s of another definition",
			pipelines.ErrKeyReused, r.IdempotencyKey, before.ID)
	}
	return before.ID, nil
}

// Registered returns the definition of a pipeline that was registered last. It returns ErrPipelineNotFound if there is
// none, and ErrDefinitionChanged if its content was changed in the database.
func (e *Engine) Registered(ctx context.Context, name string) (*definition.Definition, error) {
	r, err := e.definitions.latest(ctx, name)
	if err != nil {
		return nil, err
	}
	def, err := decodeStored(r.Definition, name, r.Version)
	if err != nil {
		return nil, fmt.Errorf("the registered definition of %q: %w", name, err)
	}
	return def, nil
}

func sortCounters(list []tasks.DependencyCount) []tasks.DependencyCount {
	slices.SortFunc(list, func(a, b tasks.DependencyCount) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	return list
}

func sortExecutions(list []pipelines.Execution) []pipelines.Execution {
	slices.SortFunc(list, func(a, b pipelines.Execution) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	return list
}
