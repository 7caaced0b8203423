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
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/platform/db"
)

// A batch is one transaction: it ends at the first of these bounds. One execution goes whole, however many tasks it has.
const (
	mostExecutions = 100
	mostTasks      = 1000
)

// After each batch the keeper rests a few times as long as the batch took, so that work under way hardly notices.
const (
	restTimes = 9
	leastRest = 5 * time.Millisecond
	mostRest  = 2 * time.Second
)

const chore = "retention"

// ErrBusy is retention that another process is at.
var ErrBusy = errors.New("retention is under way in another process")

// Keeper removes what has been kept long enough, tenant by tenant. It is safe for concurrent use.
type Keeper struct {
	db        *db.DB
	store     *store
	chores    *chores.Repository
	engine    *pipelines.Engine
	pipelines *pipelines.Repository
}

// New makes a keeper over a database.
func New(d *db.DB, c *chores.Repository, e *pipelines.Engine, p *pipelines.Repository) *Keeper {
	return &Keeper{db: d, store: &store{d}, chores: c, engine: e, pipelines: p}
}

// Options says what a pass removes.
type Options struct {
	Ages     Ages          // for pipelines that say nothing of their own
	Pipeline string        // only of this one; empty: all
	Progress func(Removal) // called for each execution with its rows, if set
}

// Removal is what was removed of one pipeline, or would be.
type Removal struct {
	PipelineName string `json:"pipeline_name"`
	Kind         Kind   `json:"kind"`
	Executions   int64  `json:"executions"` // of how many
	Rows         int64  `json:"rows"`
}

// Count says what Run would remove now.
func (k *Keeper) Count(ctx context.Context, o Options) ([]Removal, error) {
	cutoffs, err := k.cutoffs(ctx, o)
	if err != nil {
		return nil, err
	}
	all := []Removal{}
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

// Run removes what is due, once. ErrBusy: another process is at it. If it fails, or ctx ends, what has been removed so far stays
// removed and is in the answer.
func (k *Keeper) Run(ctx context.Context, o Options) (removed []Removal, err error) {
	removed, taken, err := k.run(ctx, o, 0)
	if err == nil && !taken {
		err = ErrBusy
	}
	return removed, err
}

// run is one pass, if the chore is free and was not finished within the time every.
func (k *Keeper) run(ctx context.Context, o Options, every time.Duration) (removed []Removal, taken bool, err error) {
	cutoffs, err := k.cutoffs(ctx, o)
	if err != nil {
		return nil, false, err
	}
	me := db.NewID().String()
	if taken, err = k.chores.Take(ctx, chore, me, every); err != nil || !taken {
		return nil, false, err
	}
	p := &pass{keeper: k, holder: me, progress: o.Progress, sums: map[string]*Removal{}}
	for _, kind := range Kinds() {
		if err = p.kind(ctx, kind, cutoffs[kind]); err != nil {
			break
		}
	}
	// Giving it back goes on after an interrupt, so that nobody has to wait for the lease.
	release := k.chores.Release(context.WithoutCancel(ctx), chore, me, err == nil && o.Pipeline == "")
	return p.removed(), true, errors.Join(err, release)
}

// RemoveEvents removes the events of all executions that ended before the cutoff, whatever their pipelines say, and tells progress
// after each execution.
func (k *Keeper) RemoveEvents(ctx context.Context, at db.Time, progress func(removed int64)) (total int64, err error) {
	p := &pass{keeper: k, sums: map[string]*Removal{}, progress: func(r Removal) {
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

// CountEvents counts the events that RemoveEvents would remove, and the executions that they belong to.
func (k *Keeper) CountEvents(ctx context.Context, at db.Time) (events, executions int64, err error) {
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

func (k *Keeper) everywhere(ctx context.Context, at db.Time) ([]cutoff, error) {
	names, err := k.store.pipelines(ctx)
	list := make([]cutoff, len(names))
	for i, name := range names {
		list[i] = cutoff{name, at}
	}
	return list, err
}

// Watch runs a pass whenever none has been finished for the time every, by this process or another, until ctx ends. What fails is
// logged, and tried again with the next one.
func (k *Keeper) Watch(ctx context.Context, o Options, every time.Duration, log *zap.Logger) {
	tick := time.NewTicker(min(every, chores.Lease))
	defer tick.Stop()
	for {
		removed, _, err := k.run(ctx, o, every)
		for _, r := range removed {
			log.Info("retention", zap.String("pipeline", r.PipelineName), zap.String("kind", string(r.Kind)), zap.Int64("rows", r.Rows),
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

func sorted(list []Removal) []Removal {
	slices.SortFunc(list, func(a, b Removal) int {
		if n := strings.Compare(a.PipelineName, b.PipelineName); n != 0 {
			return n
		}
		return slices.Index(Kinds(), a.Kind) - slices.Index(Kinds(), b.Kind)
	})
	return list
}

// String names one removal, for messages.
func (r Removal) String() string {
	return fmt.Sprintf("%s of %s: %d rows of %d executions", r.Kind, r.PipelineName, r.Rows, r.Executions)
}
