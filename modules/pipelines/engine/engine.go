// Package engine executes each use case of runs in one transaction: start, exchange, control, recovery. Only the engine
// writes to the tables of several modules in one transaction. What follows from a change is computed by
// pipelines.Plan.
package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/events/eventstore"
	"github.com/sluiceworks/sluice/modules/leases"
	"github.com/sluiceworks/sluice/modules/outbox"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/modules/tasks/taskstore"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
	"github.com/sluiceworks/sluice/platform/jsonvalue"
)

// Engine changes pipeline executions. Each exported method is one use case. It makes its changes, and everything that
// follows from them, in one transaction unless documented otherwise.
type Engine struct {
	db            *db.DB
	leases        *leases.Repository
	events        *eventstore.Repository
	outbox        *outbox.Repository
	tasks         *taskstore.Repository
	pipelines     *Repository
	definitions   *definitions
	notifier      *Notifier
	startCache    startCache
	maxNeedsBytes int // tasks.MaxNeeds, in bytes
}

// NewEngine returns an engine that uses the database d.
func NewEngine(
	d *db.DB, l *leases.Repository, e *eventstore.Repository, o *outbox.Repository, t *taskstore.Repository,
	p *Repository,
) *Engine {
	return &Engine{
		db: d, leases: l, events: e, outbox: o, tasks: t, pipelines: p, definitions: newDefinitions(d),
		notifier: newNotifier(), maxNeedsBytes: tasks.MaxNeeds,
	}
}

// Notifier returns the notifier that signals commits of this process.
func (e *Engine) Notifier() *Notifier { return e.notifier }

// write adds to a batch what the results of plans write, and further changes of tasks that do not affect their
// executions. stored holds the counters that the rows of executions have already; others are written. It returns the
// number of tasks that became Ready with an outbox row.
func (e *Engine) write(
	b *db.Batch, plans []*pipelines.Plan, stored map[dbtype.ID]counts, moves ...*tasks.Change,
) (ready int, err error) {
	var ended []*pipelines.Change
	var counters []tasks.DependencyCount
	var counted []pipelines.Execution
	for _, p := range plans {
		m, c := p.Changes()
		moves, counters = append(moves, m...), append(counters, c...)
		now := counts{p.Execution.OpenTasks, p.Execution.UnsuccessfulTasks}
		if end := p.End(); end != nil {
			ended = append(ended, end)
		} else if before, known := stored[p.Execution.ID]; !known || before != now {
			counted = append(counted, p.Execution)
		}
	}
	for _, m := range moves {
		if m.Task.Status == tasks.Ready && !m.NoOutbox {
			ready++ // due or not, because a sleeping worker must learn of an earlier due time
		}
	}
	if ready > 0 {
		b.Tx().Notify(TopicReady)
	}
	if err := e.tasks.Apply(b, moves); err != nil {
		return 0, err
	}
	e.tasks.CountDependencies(b, sortCounters(counters))
	if err := e.pipelines.apply(b, ended); err != nil {
		return 0, err
	}
	e.pipelines.writeCounters(b, sortExecutions(counted))
	return ready, nil
}

// advance follows the consequences of a plan's changes, and supplies the rows and outputs that it lacks. If the result
// has FullGraph set, the plan cannot be completed without all tasks.
func (e *Engine) advance(tx db.Tx, p *pipelines.Plan) (pipelines.Missing, error) {
	for {
		missing, err := p.Advance()
		switch {
		case err != nil || missing.FullGraph || missing.Nothing():
			return missing, err
		case len(missing.Tasks) > 0:
			list, err := e.loadTasks(tx, p.Execution.ID, missing.Tasks)
			if err != nil {
				return missing, err
			}
			p.SupplyTasks(missing.Tasks, list)
		default:
			outputs, tooLarge, err := e.conditionOutputs(tx, p.Execution.ID, missing)
			if err != nil {
				return missing, err
			}
			p.SupplyOutputs(missing.Outputs, outputs, tooLarge)
		}
	}
}

// loadTasks loads tasks of an execution by name.
func (e *Engine) loadTasks(tx db.Tx, id dbtype.ID, names []string) ([]tasks.Task, error) {
	b := tx.Batch()
	list := e.tasks.LoadByKey(b, keysOf(id, names))
	err := b.Send()
	return *list, err
}

func keysOf(id dbtype.ID, names []string) []tasks.Key {
	keys := make([]tasks.Key, len(names))
	for i, name := range names {
		keys[i] = tasks.Key{PipelineExecutionID: id, TaskName: name}
	}
	return keys
}

// conditionOutputs reads the outputs that a condition reads, in parts. If they are too large together, it returns that
// as the second result.
func (e *Engine) conditionOutputs(
	tx db.Tx, id dbtype.ID, missing pipelines.Missing,
) (out map[string]json.RawMessage, tooLarge, err error) {
	names := missing.Outputs
	out = make(map[string]json.RawMessage, len(names))
	s, size := sizeSum{limit: e.maxNeedsBytes}, needsPart
	if e.few(len(names)) {
		size = len(names)
	}
	for part := range slices.Chunk(names, size) {
		found, err := e.tasks.Outputs(tx, keysOf(id, part))
		if err != nil {
			return nil, nil, err
		}
		for name, v := range found {
			out[name.TaskName] = json.RawMessage(v)
			s.add(name.TaskName, len(v))
		}
		if tooLarge := s.excess("the condition", missing.Reads); tooLarge != nil {
			return nil, tooLarge, nil
		}
	}
	return out, nil, nil
}

// fullPlan loads all tasks of a locked execution into a plan.
func (e *Engine) fullPlan(ctx context.Context, tx db.Tx, x pipelines.Execution) (*pipelines.Plan, error) {
	def, err := e.definitions.find(ctx, tx, x.PipelineName, x.DefinitionVersion)
	if err != nil {
		return nil, err
	}
	if def.HasConditions() {
		found, err := e.pipelines.inputs(tx, []dbtype.ID{x.ID})
		if err != nil {
			return nil, err
		}
		x.Input = found[x.ID].Input
	}
	list, err := e.tasks.LoadByExecution(tx, []dbtype.ID{x.ID})
	if err != nil {
		return nil, err
	}
	return pipelines.NewPlan(x, def, list, true, tx.Now), nil
}

// lockExecution locks and returns one execution. It returns ErrExecutionNotFound if there is none.
func (e *Engine) lockExecution(tx db.Tx, id dbtype.ID) (pipelines.Execution, error) {
	found, err := e.pipelines.lock(tx, []dbtype.ID{id})
	if err != nil {
		return pipelines.Execution{}, err
	}
	x, ok := found[id]
	if !ok {
		return pipelines.Execution{}, fmt.Errorf("%w: %s", pipelines.ErrExecutionNotFound, id)
	}
	return x, nil
}

// Annotation is an event that a user or a handler adds to the history. It changes no state.
type Annotation struct {
	PipelineExecutionID dbtype.ID
	TaskExecutionID     dbtype.ID   // zero: the annotation is about the execution
	Data                dbtype.JSON // a JSON object
	Worker, Actor       string
}

// Annotate appends an annotation to the history. Its data must be a JSON object of at most tasks.MaxOutput bytes.
// Otherwise, and if the history was removed by retention, Annotate returns an error.
func (e *Engine) Annotate(ctx context.Context, a Annotation) error {
	if err := jsonvalue.Check(a.Data, tasks.MaxOutput); err != nil {
		return fmt.Errorf("annotation: %w", err)
	}
	if !bytes.HasPrefix(bytes.TrimSpace(a.Data), []byte("{")) {
		return fmt.Errorf("annotation: %w: its data must be a JSON object, such as {\"note\": \"seen\"}",
			pipelines.ErrInvalidArgument)
	}
	if !a.TaskExecutionID.IsZero() {
		t, err := e.tasks.Get(ctx, a.TaskExecutionID)
		if err != nil {
			return err
		}
		a.PipelineExecutionID = t.PipelineExecutionID
	}
	return e.db.Write(ctx, func(b *db.Batch) error {
		x, err := e.lockExecution(b.Tx(), a.PipelineExecutionID)
		if err != nil {
			return err
		}
		if x.EventsRemoved > 0 {
			return fmt.Errorf("%w: the history of %s has been removed", pipelines.ErrInvalidState, x.ID)
		}
		e.events.Append(b, []events.Event{{
			PipelineExecutionID: x.ID, TaskExecutionID: a.TaskExecutionID, EventType: events.Annotation,
			EventData: a.Data,
			WorkerID:  dbtype.Text(a.Worker), Actor: dbtype.Text(a.Actor),
		}})
		return nil
	})
}

// isDefinitionMissing reports whether an error means that a pinned definition is missing or unreadable.
func isDefinitionMissing(err error) bool { return errors.Is(err, pipelines.ErrDefinitionMissing) }

// SaveLogs stores output of attempts, in its own transaction. It checks no claims, because output is stored however the
// attempt ended. Output of deleted tasks is dropped.
func (e *Engine) SaveLogs(ctx context.Context, list []tasks.Written) error {
	return e.db.Write(ctx, func(b *db.Batch) error {
		e.tasks.WriteLateChunks(b, list)
		return nil
	})
}
