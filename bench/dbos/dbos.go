// Package dbos measures DBOS Transact: workflows that are chains of steps, each step durable.
package dbos

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluiceworks/sluice/bench/measure"

	"github.com/dbos-inc/dbos-transact-golang/dbos"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"
)

// Workflows are started in the process that runs them, the way its authors advise for throughput: a queue would add its
// polling.
const (
	concurrent = 100
	conns      = 20 // its own default
)

// chain is the workflow: steps one after the other.
type chain struct {
	done  atomic.Int64
	mu    sync.Mutex
	steps []time.Duration // from the end of a step to the beginning of the next
}

func (c *chain) run(ctx dbos.Context, length int) (int, error) {
	var ended time.Time
	gaps := make([]time.Duration, 0, length)
	for range length {
		_, err := dbos.RunAsStep(ctx, func(context.Context) (int, error) {
			if !ended.IsZero() {
				gaps = append(gaps, time.Since(ended))
			}
			c.done.Add(1)
			ended = time.Now()
			return 0, nil
		})
		if err != nil {
			return 0, err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.steps = append(c.steps, gaps...)
	return 0, nil
}

// Run measures DBOS.
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
	system, err := dbos.NewContext(ctx, dbos.Config{
		AppName: "bench", SystemDBPool: pool, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return o, fmt.Errorf("open DBOS: %w", err)
	}
	c := &chain{}
	dbos.RegisterWorkflow(system, c.run)
	if err := dbos.Launch(system); err != nil {
		return o, fmt.Errorf("launch DBOS: %w", err)
	}
	const stopping = 10 * time.Second
	defer func() { _ = dbos.Shutdown(system, stopping) }() // all is done by now
	m, err := measure.Start(t.ServerPID)
	if err != nil {
		return o, err
	}
	runs := t.Tasks / t.Length
	group := errgroup.Group{}
	group.SetLimit(min(concurrent, runs))
	for range runs {
		group.Go(func() error {
			handle, err := dbos.RunWorkflow(system, c.run, t.Length)
			if err != nil {
				return fmt.Errorf("start a workflow: %w", err)
			}
			_, err = handle.GetResult()
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return o, err
	}
	if o, err = m.Stop(runs * t.Length); err != nil {
		return o, err
	}
	o.Settings = fmt.Sprintf("%d workflows at once, started in process; %d connections", concurrent, conns)
	o.Step = measure.Latencies(c.steps)
	return o, c.check(ctx, pool, runs, t.Length)
}

// check sees to it that DBOS did what was asked.
func (c *chain) check(ctx context.Context, pool *pgxpool.Pool, runs, length int) error {
	var ended, steps int
	err := pool.QueryRow(ctx,
		`SELECT (SELECT count(*) FROM dbos.workflow_status WHERE status = 'SUCCESS'),
  (SELECT count(*) FROM dbos.operation_outputs)`).Scan(&ended, &steps)
	if err != nil {
		return fmt.Errorf("count workflows: %w", err)
	}
	if ended != runs || steps != runs*length || c.done.Load() != int64(runs*length) {
		return fmt.Errorf("there are %d ended workflows and %d steps, and %d were run; expected %d of %d", ended, steps,
			c.done.Load(), runs, length)
	}
	return nil
}
