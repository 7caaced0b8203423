package app

import (
	"context"
	"errors"
	"time"

	"go.uber.org/fx"
	"go.uber.org/zap"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/seal"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/modules/workers"
	"github.com/sluiceworks/sluice/platform/db"
)

// workNeeds is what working off one execution takes.
type workNeeds struct {
	fx.In
	Sources
	DB      *db.DB
	Tasks   *tasks.Repository
	Events  *events.Repository
	Workers workers.Deps
	Sealer  *seal.Sealer
	Log     *zap.Logger
}

const (
	lookEvery  = 200 * time.Millisecond // another process may work on the execution too, and tells nobody here
	lookAtMost = 30 * time.Millisecond  // between two looks
	runDrain   = 2 * time.Second        // for an interrupted run's tasks
	runPoll    = 500 * time.Millisecond
)

// work is the working off of one execution in this process.
type work struct {
	workNeeds
	id      db.ID
	def     *definition.Definition
	tasks   []db.ID // in the order of creation
	follow  *follower
	display display
}

// view is what a display shows.
type view struct {
	execution pipelines.Execution
	tasks     []tasks.Task // in the order of creation
	fresh     []events.Event
	now       time.Time // the database's
}

// display shows how an execution gets on.
type display interface {
	show(v view) error
	// every is the least time between two calls of show.
	every() time.Duration
}

// run works until the execution has ended or ctx has. It gives the execution as it stands then.
func (w *work) run(ctx context.Context, slots int, lease time.Duration) (pipelines.Execution, error) {
	pool := workers.New(workers.Config{Slots: slots, Lease: lease, Poll: runPoll, Drain: runDrain, PipelineExecutionID: w.id}, w.Workers)
	working, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- pool.Run(working) }()
	x, err := w.watch(ctx, ended)
	stop()
	if poolErr := <-ended; err == nil && ctx.Err() == nil {
		err = poolErr
	}
	if ctx.Err() != nil {
		// What the drain left is what there is to tell.
		return w.look(context.WithoutCancel(ctx), true)
	}
	return x, err
}

// watch shows the progress until the execution has ended, ctx has, or the pool gives up.
func (w *work) watch(ctx context.Context, ended chan error) (pipelines.Execution, error) {
	changed, cancel := w.Engine.Waker().Changed(ctx)
	defer cancel()
	for {
		x, err := w.look(ctx, false)
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
		look := time.NewTimer(lookEvery)
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
		case <-look.C:
		}
		pause.Stop()
		look.Stop()
	}
}

// look reads how things stand and shows it. The execution is read first: the events are then at least as new.
func (w *work) look(ctx context.Context, back bool) (pipelines.Execution, error) {
	found, err := w.Executions.Find(ctx, []db.ID{w.id})
	if err != nil {
		return pipelines.Execution{}, err
	}
	x := found[w.id]
	now := w.DB.Now()
	fresh, err := w.follow.next(ctx, now, back || x.Status.Terminal())
	if err != nil {
		return x, err
	}
	byID, err := w.Tasks.Find(ctx, w.tasks)
	if err != nil {
		return x, err
	}
	v := view{execution: x, fresh: fresh, now: now}
	for _, id := range w.tasks {
		v.tasks = append(v.tasks, byID[id])
	}
	return x, w.display.show(v)
}
