// Package riverpg measures River on Postgres: independent jobs, inserted and worked off.
package riverpg

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/sluiceworks/sluice/bench/measure"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

// The settings of River's own benchmark, and of its advice on throughput.
const (
	workers   = 2000
	cooldown  = 2 * time.Millisecond
	poll      = 20 * time.Millisecond
	perInsert = 2000
	conns     = 20
)

// defaultWorkers is what River's documentation begins with.
const defaultWorkers = 100

type args struct {
	Number int `json:"n"`
}

func (args) Kind() string { return "nothing" }

// worker notes when jobs begin.
type worker struct {
	river.WorkerDefaults[args]
	mu    sync.Mutex
	begun []time.Time
	left  int
	done  chan struct{} // closed when none is left
}

func (w *worker) Work(_ context.Context, job *river.Job[args]) error {
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.begun[job.Args.Number].IsZero() {
		w.begun[job.Args.Number] = now
		if w.left--; w.left == 0 {
			close(w.done)
		}
	}
	return nil
}

// Run measures River.
func Run(ctx context.Context, t measure.Task) (o measure.Outcome, err error) {
	cfg, err := pgxpool.ParseConfig(t.Database)
	if err != nil {
		return o, err
	}
	cfg.MaxConns = conns
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return o, err
	}
	defer pool.Close()
	w := &worker{begun: make([]time.Time, t.Tasks), left: t.Tasks, done: make(chan struct{})}
	client, settings, err := open(ctx, pool, w, t.Defaults)
	if err != nil {
		return o, err
	}
	if t.Snapshot {
		release, err := measure.Hold(ctx, t.Database)
		if err != nil {
			return o, err
		}
		defer func() { _ = release() }() // the database goes next
	}
	if err := client.Start(ctx); err != nil {
		return o, fmt.Errorf("start River: %w", err)
	}
	defer func() { _ = client.Stop(context.WithoutCancel(ctx)) }() // all is done by now
	m, err := measure.Start(t.ServerPID)
	if err != nil {
		return o, err
	}
	asked, err := insert(ctx, client, t)
	if err != nil {
		return o, err
	}
	if err := w.wait(ctx, pool); err != nil {
		return o, err
	}
	if o, err = m.Stop(t.Tasks); err != nil {
		return o, err
	}
	o.Settings, o.Latency = settings, w.latency(asked)
	return o, check(ctx, pool, t.Tasks)
}

func open(ctx context.Context, pool *pgxpool.Pool, w *worker, defaults bool) (*river.Client[pgx.Tx], string, error) {
	driver := riverpgxv5.New(pool)
	migrator, err := rivermigrate.New(driver, &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, "", err
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return nil, "", fmt.Errorf("migrate River: %w", err)
	}
	all := river.NewWorkers()
	river.AddWorker(all, w)
	cfg := &river.Config{
		Logger: slog.New(slog.DiscardHandler), Workers: all,
		Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: defaultWorkers}},
	}
	settings := fmt.Sprintf("MaxWorkers %d, the rest default", defaultWorkers)
	if !defaults {
		cfg.Queues[river.QueueDefault] = river.QueueConfig{MaxWorkers: workers}
		cfg.FetchCooldown, cfg.FetchPollInterval = cooldown, poll
		settings = fmt.Sprintf(
			"MaxWorkers %d, FetchCooldown %s, FetchPollInterval %s, InsertManyFast of %d, %d connections", workers,
			cooldown, poll, perInsert, conns)
	}
	client, err := river.NewClient(driver, cfg)
	return client, settings, err
}

// insert creates the jobs, and gives when each was asked for if they arrive at a rate.
func insert(ctx context.Context, client *river.Client[pgx.Tx], t measure.Task) (asked []time.Time, err error) {
	hand := func(ctx context.Context, numbers []int) error {
		batch := make([]river.InsertManyParams, len(numbers))
		for i, n := range numbers {
			batch[i].Args = args{n}
		}
		if _, err := client.InsertManyFast(ctx, batch); err != nil {
			return fmt.Errorf("insert jobs: %w", err)
		}
		return nil
	}
	if t.Rate == 0 {
		numbers := make([]int, t.Tasks)
		for i := range numbers {
			numbers[i] = i
		}
		for batch := range slices.Chunk(numbers, perInsert) {
			if err := hand(ctx, batch); err != nil {
				return nil, err
			}
		}
		return nil, nil
	}
	asked = make([]time.Time, t.Tasks)
	return asked, measure.Arrive(ctx, t.Tasks, t.Rate, func(ctx context.Context, numbers []int) error {
		for _, n := range numbers {
			asked[n] = time.Now()
		}
		return hand(ctx, numbers)
	})
}

// wait waits until all jobs have been worked and that is durable, which River sees to in batches a little later.
func (w *worker) wait(ctx context.Context, pool *pgxpool.Pool) error {
	select {
	case <-w.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	for open := true; open; {
		err := pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM river_job WHERE state <> 'completed')`).Scan(&open)
		if err != nil {
			return fmt.Errorf("look for open jobs: %w", err)
		}
		if err := measure.Pause(ctx, time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

func (w *worker) latency(asked []time.Time) *measure.Latency {
	all := make([]time.Duration, len(asked))
	for i, at := range asked {
		all[i] = w.begun[i].Sub(at)
	}
	return measure.Latencies(all)
}

// check sees to it that River did what was asked.
func check(ctx context.Context, pool *pgxpool.Pool, n int) error {
	var completed int
	err := pool.QueryRow(ctx, `SELECT count(*) FROM river_job WHERE state = 'completed'`).Scan(&completed)
	if err != nil {
		return fmt.Errorf("count jobs: %w", err)
	}
	if completed != n {
		return fmt.Errorf("there are %d completed jobs, expected %d", completed, n)
	}
	return nil
}
