package audit

import (
	"errors"
	"fmt"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// ErrHistory means that a history is incomplete or not legal, so that no state can be computed from it.
var ErrHistory = errors.New("the history is broken")

// Replay folds the history of one execution event by event. It uses the fold that Verify compares with the rows, so a
// replayed state is computed in the way that Verify checks. It is not safe for concurrent use.
type Replay struct {
	history history
	fold    pipelineFold
	tasks   map[dbtype.ID]*replayed
	steps   int
	resumed int // the step of the last pipeline_resumed; at is its time
	at      dbtype.Time
}

// replayed is the replayed state of a task.
type replayed struct {
	history history
	fold    taskFold
	ready   int // the step that last made it Ready
}

// NewReplay returns a replay before the first event.
func NewReplay() *Replay { return &Replay{tasks: map[dbtype.ID]*replayed{}} }

// Step applies the next event. The events of each task, and of the pipeline itself, must come in the order of their
// versions. Annotations change nothing. Step returns ErrHistory for an event that does not follow from those before
// it.
func (r *Replay) Step(e *events.Event) error {
	r.steps++
	if e.EventType == events.Annotation {
		return nil
	}
	x := event{
		seq: e.SequenceNum, typ: e.EventType, worker: string(e.WorkerID), at: some(e.CreatedAt.UnixMicro()),
		data: e.EventData,
	}
	if e.Version != nil {
		x.version = some(*e.Version)
	}
	if e.TaskExecutionID.IsZero() {
		if e.EventType == events.PipelineResumed {
			r.resumed, r.at = r.steps, e.CreatedAt
		}
		return give(&r.history, &r.fold, &x, false)
	}
	t, ok := r.tasks[e.TaskExecutionID]
	if !ok {
		t = &replayed{}
		r.tasks[e.TaskExecutionID] = t
	}
	if err := give(&t.history, &t.fold, &x, true); err != nil {
		return err
	}
	if t.fold.status == tasks.Ready {
		t.ready = r.steps
	}
	return nil
}

func give(h *history, f fold, e *event, ofTask bool) error {
	giveEvent(h, f, e, ofTask)
	switch {
	case len(h.found) > 0:
		return fmt.Errorf("%w at event %d: %s", ErrHistory, e.seq, h.found[0].found)
	case len(h.pending) > 0:
		return fmt.Errorf("%w at event %d: %s", ErrHistory, e.seq, h.gap())
	}
	return nil
}

// PipelineState is a pipeline execution's row after the events so far.
type PipelineState struct {
	PipelineName, DefinitionVersion  string
	Status                           string // empty before pipeline_started
	Version                          int64
	Attempt                          int // 1, and 1 more for each restart
	Error                            string
	CreatedAt, CompletedAt, PausedAt dbtype.Time
}

// Pipeline returns the current state of the pipeline execution.
func (r *Replay) Pipeline() PipelineState {
	f := &r.fold
	return PipelineState{
		PipelineName: f.name, DefinitionVersion: f.definition, Status: string(f.status), Version: r.history.count,
		Attempt: int(f.attempt), Error: f.err,
		CreatedAt: f.created.time(), CompletedAt: f.ended.time(), PausedAt: f.pausedAt.time(),
	}
}

// Task returns the current state of a task and the names of its dependencies. It has no output, which the history
// does not hold, and no RemainingDependencies, which follow from the other tasks. A task without events is the zero
// Task.
func (r *Replay) Task(id dbtype.ID) (t tasks.Task, needs []string) {
	x, ok := r.tasks[id]
	if !ok {
		return tasks.Task{}, nil
	}
	f := &x.fold
	return tasks.Task{
		ID: id, TaskName: f.name, Handler: f.handler, Queue: f.queue, Priority: tasks.Priority(f.priority).Level(),
		Status: f.status, SubStatus: f.sub, Version: x.history.count, Attempt: int(f.attempt),
		MaxAttempts: int(f.maxAttempts),
		WorkerID:    dbtype.Text(f.worker), RetryAt: f.retryAt.time(), Recoveries: int(f.recoveries),
		Error: dbtype.Text(f.err), ErrorKind: tasks.ErrorKind(f.errKind),
		SkipReason: tasks.SkipReason(f.skipReason), CreatedAt: f.created.time(), StartedAt: f.started.time(),
		CompletedAt: f.completed.time(),
	}, f.needs
}

// Queued returns when the outbox row of a task was created, and when the task may be claimed. ok is false if there is
// no such row: there is one if and only if the task is Ready and the pipeline Running. Resuming a pipeline creates
// the rows again.
func (r *Replay) Queued(id dbtype.ID) (created, available dbtype.Time, ok bool) {
	x, known := r.tasks[id]
	if !known || x.fold.status != tasks.Ready || r.fold.status != running {
		return dbtype.Time{}, dbtype.Time{}, false
	}
	if x.ready > r.resumed {
		return x.fold.ready.time(), x.fold.due.time(), true
	}
	available = r.at
	if retry := x.fold.retryAt.time(); retry.After(available.Time) {
		available = retry
	}
	return r.at, available, true
}
