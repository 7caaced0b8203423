package app

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"go.uber.org/fx"
	"go.uber.org/zap"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/events/eventstore"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/seal"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/modules/tasks/taskstore"
	"github.com/sluiceworks/sluice/modules/workers"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// workNeeds is what running one execution needs.
type workNeeds struct {
	fx.In
	Sources
	DB      *db.DB
	Tasks   *taskstore.Repository
	Events  *eventstore.Repository
	Workers workers.Deps
	Sealer  *seal.Sealer
	Log     *zap.Logger
}

const (
	// refreshEvery is how often the execution is polled, because another process may work on it without a notification.
	refreshEvery  = 200 * time.Millisecond
	refreshAtMost = 30 * time.Millisecond // minimum time between two updates
	runDrain      = 2 * time.Second       // for an interrupted run's tasks
	runPoll       = 500 * time.Millisecond
)

// runProgress is one execution that runs in this process.
type runProgress struct {
	workNeeds
	pool    *workers.Pool
	id      dbtype.ID
	def     *definition.Definition
	tasks   []tasks.Task // in the order of creation
	follow  *eventstore.Follower
	fresh   []events.Event // read, not yet shown
	display display
	output  *output // what the tasks write; nil: it is not shown
}

// runView is what a display shows.
type runView struct {
	execution pipelines.Execution
	tasks     []tasks.Task // in the order of creation
	fresh     []events.Event
	output    []outputLine // new lines, in the order of writing
	now       time.Time    // the database's time
}

// display shows the progress of an execution.
type display interface {
	show(v runView) error
	// every is the minimum time between two calls of show.
	every() time.Duration
}

// run works until the execution or ctx has ended. It returns the execution in its last state.
func (w *runProgress) run(ctx context.Context) (pipelines.Execution, error) {
	working, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- w.pool.Run(working) }()
	defer w.follow.Close()
	x, err := w.watch(ctx, ended)
	stop()
	if poolErr := <-ended; err == nil && ctx.Err() == nil {
		err = poolErr
	}
	if ctx.Err() != nil {
		// Show the state that the drain left.
		return w.update(context.WithoutCancel(ctx), true)
	}
	return x, err
}

// watch shows the progress until the execution ends, ctx ends, or the pool fails.
func (w *runProgress) watch(ctx context.Context, ended chan error) (pipelines.Execution, error) {
	changed, cancel := w.Engine.Notifier().SubscribeCommits(ctx)
	defer cancel()
	for {
		x, err := w.update(ctx, false)
		switch {
		case ctx.Err() != nil:
			return x, nil
		case errors.Is(err, db.ErrUnavailable):
			w.Log.Warn("the database is away, trying again", zap.Error(err)) // the pool does the same
		case err != nil:
			return x, err
		case x.Status.Terminal():
			return x, nil
		}
		pause := time.NewTimer(w.display.every())
		poll := time.NewTimer(refreshEvery)
		select {
		case <-ctx.Done():
		case err := <-ended:
			ended <- err
			return x, err
		case <-changed:
			select {
			case <-ctx.Done():
			case <-pause.C:
			}
		case <-poll.C:
		}
		pause.Stop()
		poll.Stop()
	}
}

// update reads the current state and shows it. It reads the execution first, so that the events are at least as new.
func (w *runProgress) update(ctx context.Context, all bool) (pipelines.Execution, error) {
	found, err := w.Executions.Find(ctx, []dbtype.ID{w.id})
	if err != nil {
		return pipelines.Execution{}, err
	}
	x := found[w.id]
	fresh, err := w.follow.Next(ctx, all || x.Status.Terminal())
	w.fresh = append(w.fresh, fresh...)
	if err != nil {
		return x, err
	}
	if err := w.refresh(ctx, w.fresh); err != nil {
		return x, err
	}
	err = w.display.show(runView{
		execution: x, tasks: w.tasks, fresh: w.fresh, output: w.output.take(), now: w.DB.Now(),
	})
	w.fresh = nil
	return x, err
}

// refresh reads the tasks that the events are about again. Each change of a task has an event.
func (w *runProgress) refresh(ctx context.Context, fresh []events.Event) error {
	changed := map[dbtype.ID]bool{}
	for _, e := range fresh {
		if !e.TaskExecutionID.IsZero() {
			changed[e.TaskExecutionID] = true
		}
	}
	if len(changed) == 0 {
		return nil
	}
	found, err := w.Tasks.Find(ctx, slices.Collect(maps.Keys(changed)))
	if err != nil {
		return err
	}
	for i := range w.tasks {
		if t, ok := found[w.tasks[i].ID]; ok {
			w.tasks[i] = t
		}
	}
	return nil
}

// needs returns the dependencies of each task, by the id of its execution.
func (w *runProgress) needs(list []tasks.Task) map[dbtype.ID][]string {
	byName := map[string][]string{}
	for i := range w.def.Tasks {
		byName[w.def.Tasks[i].ID] = w.def.Tasks[i].Needs
	}
	out := make(map[dbtype.ID][]string, len(list))
	for _, t := range list {
		out[t.ID] = append([]string{}, byName[t.TaskName]...)
	}
	return out
}
