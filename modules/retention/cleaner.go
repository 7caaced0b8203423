package retention

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/sluiceworks/sluice/modules/chores"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// A batch is one transaction. It ends at the first of these bounds. An execution is never split, however many tasks
// it has.
const (
	executionsPerBatch = 100
	tasksPerBatch      = 1000
)

// After each batch the keeper rests for a multiple of the batch's duration, so that it hardly slows running work.
const (
	pauseFactor = 9
	minPause    = 5 * time.Millisecond
	maxPause    = 2 * time.Second
)

const chore = "retention"

// ErrBusy is returned by Run if another process holds the retention chore.
var ErrBusy = errors.New("retention is under way in another process")

// Cleaner removes data whose retention time has passed, for one tenant per call. It is safe for concurrent use.
type Cleaner struct {
	db        *db.DB
	store     *store
	chores    *chores.Repository
	engine    *engine.Engine
	pipelines *engine.Repository
}

// New returns a Cleaner for a database.
func New(d *db.DB, c *chores.Repository, e *engine.Engine, p *engine.Repository) *Cleaner {
	return &Cleaner{db: d, store: &store{d}, chores: c, engine: e, pipelines: p}
}

// Options configures a pass.
type Options struct {
	Ages     Policy       // for pipelines without retention of their own
	Pipeline string       // the only pipeline to process; empty for all
	Progress func(Result) // called for each execution with its rows; may be nil
}

// Result counts what was, or would be, removed of one kind from one pipeline.
type Result struct {
	PipelineName string `json:"pipeline"`
	Kind         Kind   `json:"kind"`
	Executions   int64  `json:"executions"` // number of executions affected
	Rows         int64  `json:"rows"`
}

// Count returns what Run would remove now.
func (k *Cleaner) Count(ctx context.Context, o Options) ([]Result, error) {
	cutoffs, err := k.cutoffs(ctx, o)
	if err != nil {
		return nil, err
	}
	all := []Result{}
	for _, kind := range Kinds() {
		if len(cutoffs[kind]) == 0 {
			continue
		}
		list, err := k.store.count(ctx, kind, cutoffs[kind])
		if err != nil {
			return nil, err
		}
		all = append(all, list...)
	}
	return sorted(all), nil
}

// Run removes what is due, once. It fails with ErrBusy if another process holds the chore. If it fails or ctx ends,
// what has already been removed stays removed and is in the result.
func (k *Cleaner) Run(ctx context.Context, o Options) (removed []Result, err error) {
	removed, taken, err := k.run(ctx, o, 0)
	if err == nil && !taken {
		err = ErrBusy
	}
	return removed, err
}

// run performs one pass if the chore is free and was not finished within the duration every.
func (k *Cleaner) run(ctx context.Context, o Options, every time.Duration) (removed []Result, taken bool, err error) {
	cutoffs, err := k.cutoffs(ctx, o)
	if err != nil {
		return nil, false, err
	}
	me := dbtype.NewID().String()
	if taken, err = k.chores.Acquire(ctx, chore, me, every); err != nil || !taken {
		return nil, false, err
	}
	p := &sweep{cleaner: k, holder: me, progress: o.Progress, sums: map[string]*Result{}}
	for _, kind := range Kinds() {
		if err = p.kind(ctx, kind, cutoffs[kind]); err != nil {
			break
		}
	}
	// The release ignores the end of ctx, so that others need not wait for the lease to expire.
	release := k.chores.Release(context.WithoutCancel(ctx), chore, me, err == nil && o.Pipeline == "")
	return p.removed(), true, errors.Join(err, release)
}

// RemoveEvents removes the events of all executions that ended before at, regardless of their pipelines' retention.
// It calls progress, unless nil, after each execution with the number of events removed so far.
func (k *Cleaner) RemoveEvents(
	ctx context.Context, at dbtype.Time, progress func(removed int64),
) (total int64, err error) {
	p := &sweep{cleaner: k, sums: map[string]*Result{}, progress: func(r Result) {
		total += r.Rows
		if progress != nil {
			progress(total)
		}
	}}
	list, err := k.everywhere(ctx, at)
	if err != nil {
		return 0, err
	}
	err = p.kind(ctx, Events, list)
	return total, err
}

// CountEvents returns the number of events that RemoveEvents would remove, and of the executions that they belong to.
func (k *Cleaner) CountEvents(ctx context.Context, at dbtype.Time) (events, executions int64, err error) {
	list, err := k.everywhere(ctx, at)
	if err != nil {
		return 0, 0, err
	}
	found, err := k.store.count(ctx, Events, list)
	for _, r := range found {
		events, executions = events+r.Rows, executions+r.Executions
	}
	return events, executions, err
}

func (k *Cleaner) everywhere(ctx context.Context, at dbtype.Time) ([]cutoff, error) {
	names, err := k.store.pipelines(ctx)
	list := make([]cutoff, len(names))
	for i, name := range names {
		list[i] = cutoff{name, at}
	}
	return list, err
}

// Watch runs a pass whenever no process has finished one within the duration every, until ctx ends. Errors are
// logged, and the next pass tries again.
func (k *Cleaner) Watch(ctx context.Context, o Options, every time.Duration, log *zap.Logger) {
	tick := time.NewTicker(min(every, chores.Lease))
	defer tick.Stop()
	for {
		removed, _, err := k.run(ctx, o, every)
		for _, r := range removed {
			log.Info("retention", zap.String("pipeline", r.PipelineName), zap.String("kind", string(r.Kind)),
				zap.Int64("rows", r.Rows),
				zap.Int64("executions", r.Executions))
		}
		if err != nil && ctx.Err() == nil {
			log.Warn("retention has stopped, and will go on", zap.Error(err))
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func sorted(list []Result) []Result {
	slices.SortFunc(list, func(a, b Result) int {
		if n := strings.Compare(a.PipelineName, b.PipelineName); n != 0 {
			return n
		}
		return slices.Index(Kinds(), a.Kind) - slices.Index(Kinds(), b.Kind)
	})
	return list
}

// String returns the removal in one line for messages.
func (r Result) String() string {
	return fmt.Sprintf("%s of %s: %d rows of %d executions", r.Kind, r.PipelineName, r.Rows, r.Executions)
}
