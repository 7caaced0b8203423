package audit

import (
	"errors"
	"fmt"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db"
)

// ErrHistory is a history that is not whole, or not legal: no fold of it says how things stood.
var ErrHistory = errors.New("the history is broken")

// Replay folds the history of one execution event by event. It is the fold that Verify compares the rows with, so what it says of
// the past is of the kind that Verify proves of the present. It is not safe for concurrent use.
type Replay struct {
	history history
	fold    pipelineFold
	tasks   map[db.ID]*replayed
	steps   int
	resumed int // the step of the last pipeline_resumed, and when
	at      db.Time
}

// replayed is a task under replay.
type replayed struct {
	history history
	fold    taskFold
	ready   int // the step that made it Ready last
}

// NewReplay begins before the first event.
func NewReplay() *Replay { return &Replay{tasks: map[db.ID]*replayed{}} }

// Step takes the next event. Those of a task, and those of the pipeline itself, must come in the order of their versions;
// annotations change nothing. It fails with ErrHistory for an event that does not follow from those before it.
func (r *Replay) Step(e *events.Event) error {
	r.steps++
	if e.EventType == events.Annotation {
		return nil
	}
	x := event{seq: e.SequenceNum, typ: e.EventType, worker: string(e.WorkerID), at: some(e.CreatedAt.UnixMicro()), data: e.EventData}
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

// PipelineState is what the events so far make of a pipeline execution's row.
type PipelineState struct {
	PipelineName, DefinitionVersion  string
	Status                           string // empty before pipeline_started
	Version                          int64
	Attempt                          int // 1, and 1 more for each restart
	Error                            string
	CreatedAt, CompletedAt, PausedAt db.Time
}

// Pipeline gives the pipeline execution as it stands.
func (r *Replay) Pipeline() PipelineState {
	f := &r.fold
	return PipelineState{
		PipelineName: f.name, DefinitionVersion: f.definition, Status: string(f.status), Version: r.history.count, Attempt: int(f.attempt), Error: f.err,
		CreatedAt: f.created.time(), CompletedAt: f.ended.time(), PausedAt: f.pausedAt.time(),
	}
}

// Task gives a task as it stands, and the names of its dependencies. Its output is not in the history, and
// remaining_dependencies follows from how the other tasks stand. A task that no event has named is the zero Task.
func (r *Replay) Task(id db.ID) (t tasks.Task, needs []string) {
	x, ok := r.tasks[id]
	if !ok {
		return tasks.Task{}, nil
	}
	f := &x.fold
	return tasks.Task{
		ID: id, TaskName: f.name, Handler: f.handler, Queue: f.queue, Priority: tasks.Priority(f.priority).Level(),
		Status: f.status, SubStatus: f.sub, Version: x.history.count, Attempt: int(f.attempt), MaxAttempts: int(f.maxAttempts),
		WorkerID: db.Text(f.worker), RetryAt: f.retryAt.time(), Recoveries: int(f.recoveries), Error: db.Text(f.err), ErrorKind: tasks.ErrorKind(f.errKind),
		SkipReason: tasks.SkipReason(f.skipReason), CreatedAt: f.created.time(), StartedAt: f.started.time(), CompletedAt: f.completed.time(),
	}, f.needs
}

// Queued gives the outbox row of a task: since when it is there and from when on the task may be claimed. There is one if and
// only if the task is Ready and the pipeline Running. Resuming a pipeline writes the rows anew.
func (r *Replay) Queued(id db.ID) (created, available db.Time, ok bool) {
	x, known := r.tasks[id]
	if !known || x.fold.status != tasks.Ready || r.fold.status != running {
		return db.Time{}, db.Time{}, false
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
