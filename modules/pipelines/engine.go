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

// Engine changes pipeline executions. Each exported method is one use case. It makes its changes, and everything that
// follows from them, in one transaction unless documented otherwise.
type Engine struct {
	db            *db.DB
	leases        *leases.Repository
	events        *events.Repository
	outbox        *outbox.Repository
	tasks         *tasks.Repository
	pipelines     *Repository
	definitions   *definitions
	notifier      *Notifier
	startCache    startCache
	maxNeedsBytes int // tasks.MaxNeeds, in bytes
}

// NewEngine returns an engine that uses the database d.
func NewEngine(d *db.DB, l *leases.Repository, e *events.Repository, o *outbox.Repository, t *tasks.Repository, p *Repository) *Engine {
	return &Engine{db: d, leases: l, events: e, outbox: o, tasks: t, pipelines: p, definitions: newDefinitions(d), notifier: newNotifier(), maxNeedsBytes: tasks.MaxNeeds}
}

// Notifier returns the notifier that signals commits of this process.
func (e *Engine) Notifier() *Notifier { return e.notifier }

// write writes the results of plans, and further changes of tasks that do not affect their executions. It returns the
// number of tasks that became Ready with an outbox row.
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
			ready++ // due or not, because a sleeping worker must learn of an earlier due time
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

// outputs returns a function that returns the outputs that conditions read. They come from the plan for tasks that it
// changes, and from the database for others. The function returns a conditionError if the outputs are too large
// together.
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
		s, size := sizeSum{limit: e.maxNeedsBytes}, needsPart
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

// fullPlan loads all tasks of a locked execution into a plan.
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

// lockExecution locks and returns one execution. It returns ErrExecutionNotFound if there is none.
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

// random returns a number in [0,1). It is used only for the jitter of retries.
func random() float64 { return rand.Float64() }

// Annotation is an event that a user or a handler adds to the history. It changes no state.
type Annotation struct {
	PipelineExecutionID db.ID
	TaskExecutionID     db.ID   // zero: the annotation is about the execution
	Data                db.JSON // a JSON object
	Worker, Actor       string
}

// Annotate appends an annotation to the history. Its data must be a JSON object of at most tasks.MaxOutput bytes.
// Otherwise, and if the history was removed by retention, Annotate returns an error.
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

// isDefinitionMissing reports whether an error means that a pinned definition is missing or unreadable.
func isDefinitionMissing(err error) bool { return errors.Is(err, ErrDefinitionMissing) }
