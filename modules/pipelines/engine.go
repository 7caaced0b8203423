package pipelines

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/leases"
	"github.com/sluiceworks/sluice/modules/outbox"
	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db"
)

// Engine moves pipeline executions. Each exported method is one use case and one transaction, with all that follows
// from it.
type Engine struct {
	db          *db.DB
	leases      *leases.Repository
	events      *events.Repository
	outbox      *outbox.Repository
	tasks       *tasks.Repository
	pipelines   *Repository
	definitions *definitions
	notifier    *Notifier
	fresh       startCache
	mostNeeds   int // tasks.MaxNeeds
}

// NewEngine makes an engine over a database.
func NewEngine(d *db.DB, l *leases.Repository, e *events.Repository, o *outbox.Repository, t *tasks.Repository, p *Repository) *Engine {
	return &Engine{db: d, leases: l, events: e, outbox: o, tasks: t, pipelines: p, definitions: newDefinitions(d), notifier: newNotifier(), mostNeeds: tasks.MaxNeeds}
}

// Notifier tells this process's workers of work that a transaction of this process has made available.
func (e *Engine) Notifier() *Notifier { return e.notifier }

// write puts plans' results, and further moves of tasks that change nothing of their executions, into the transaction.
func (e *Engine) write(tx db.Tx, plans []*plan, moves ...*tasks.Change) (ready int, err error) {
	var settled []*change
	var counters []tasks.DependencyCount
	var counted []Execution
	for _, p := range plans {
		m, c := p.result()
		moves, counters = append(moves, m...), append(counters, c...)
		end, err := p.finishIfDone()
		if err != nil {
			return 0, err
		}
		if end != nil {
			settled = append(settled, end)
		} else if p.persisted == nil || *p.persisted != (counts{p.execution.OpenTasks, p.execution.UnsuccessfulTasks}) {
			counted = append(counted, p.execution)
		}
	}
	for _, m := range moves {
		if m.Task.Status == tasks.Ready && !m.NoOutbox {
			ready++ // due or not: a worker that sleeps must hear of an earlier due time
		}
	}
	if ready > 0 {
		tx.Notify(TopicReady)
	}
	if err := e.tasks.Apply(tx, moves); err != nil {
		return 0, err
	}
	if err := e.tasks.CountDependencies(tx, sortCounters(counters)); err != nil {
		return 0, err
	}
	if err := e.pipelines.apply(tx, settled); err != nil {
		return 0, err
	}
	return ready, e.pipelines.writeCounters(tx, sortExecutions(counted))
}

// outputs reads outputs for conditions: from the tasks that end in the same plan, else from the database.
func (e *Engine) outputs(tx db.Tx, p *plan) func([]string) (map[string]json.RawMessage, error) {
	return func(names []string) (map[string]json.RawMessage, error) {
		out := make(map[string]json.RawMessage, len(names))
		var stored []tasks.Key
		for _, name := range names {
			if n, ok := p.nodes[name]; ok && n.change != nil {
				out[name] = json.RawMessage(n.change.Task.Output)
			} else {
				stored = append(stored, tasks.Key{PipelineExecutionID: p.execution.ID, TaskName: name})
			}
		}
		s, size := sizeSum{limit: e.mostNeeds}, needsPart
		if e.few(len(stored)) {
			size = max(1, len(stored))
		}
		for part := range slices.Chunk(stored, size) {
			found, err := e.tasks.Outputs(tx, part)
			if err != nil {
				return nil, err
			}
			for name, v := range found {
				out[name.TaskName] = json.RawMessage(v)
				s.add(name.TaskName, len(v))
			}
			if err := s.excess("the condition", len(names)); err != nil {
				return nil, &conditionError{err}
			}
		}
		return out, nil
	}
}

// fullPlan loads one execution's whole graph into a plan. The execution is locked.
func (e *Engine) fullPlan(ctx context.Context, tx db.Tx, x Execution) (*plan, error) {
	def, err := e.definitions.find(ctx, tx, x.PipelineName, x.DefinitionVersion)
	if err != nil {
		return nil, err
	}
	if def.HasConditions() {
		found, err := e.pipelines.inputs(tx, []db.ID{x.ID})
		if err != nil {
			return nil, err
		}
		x.Input = found[x.ID].Input
	}
	list, err := e.tasks.LoadByExecution(tx, []db.ID{x.ID})
	if err != nil {
		return nil, err
	}
	p := newPlan(x, def, list, true, tx.Now)
	p.outputs = e.outputs(tx, p)
	return p, nil
}

// lockExecution locks one execution.
func (e *Engine) lockExecution(tx db.Tx, id db.ID) (Execution, error) {
	found, err := e.pipelines.lock(tx, []db.ID{id})
	if err != nil {
		return Execution{}, err
	}
	x, ok := found[id]
	if !ok {
		return Execution{}, fmt.Errorf("%w: %s", ErrExecutionNotFound, id)
	}
	return x, nil
}

// random spreads retries; it decides nothing else.
func random() float64 { return rand.Float64() }

// Annotation is an event by hand: it records, and changes nothing.
type Annotation struct {
	PipelineExecutionID db.ID
	TaskExecutionID     db.ID   // zero: about the pipeline
	Data                db.JSON // an object
	Worker, Actor       string
}

// Annotate writes an annotation into the history.
func (e *Engine) Annotate(ctx context.Context, a Annotation) error {
	if err := definition.CheckJSON(a.Data, tasks.MaxOutput); err != nil {
		return fmt.Errorf("annotation: %w", err)
	}
	if !bytes.HasPrefix(bytes.TrimSpace(a.Data), []byte("{")) {
		return fmt.Errorf("annotation: %w: its data must be a JSON object, such as {\"note\": \"seen\"}", ErrInvalidArgument)
	}
	if !a.TaskExecutionID.IsZero() {
		t, err := e.tasks.Get(ctx, a.TaskExecutionID)
		if err != nil {
			return err
		}
		a.PipelineExecutionID = t.PipelineExecutionID
	}
	return e.db.Transaction(ctx, func(tx db.Tx) error {
		x, err := e.lockExecution(tx, a.PipelineExecutionID)
		if err != nil {
			return err
		}
		if x.EventsRemoved > 0 {
			return fmt.Errorf("%w: the history of %s has been removed", ErrInvalidState, x.ID)
		}
		e.events.Append(tx, []events.Event{{
			PipelineExecutionID: x.ID, TaskExecutionID: a.TaskExecutionID, EventType: events.Annotation, EventData: a.Data,
			WorkerID: db.Text(a.Worker), Actor: db.Text(a.Actor),
		}})
		return nil
	})
}

// isDefinitionMissing reports whether an error means that a run's pinned definition can't be had.
func isDefinitionMissing(err error) bool { return errors.Is(err, ErrDefinitionMissing) }
