// Package goworkflows measures go-workflows on SQLite: workflows that are chains of activities.
package goworkflows

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/sluiceworks/sluice/bench/measure"

	"github.com/cschleiden/go-workflows/backend"
	"github.com/cschleiden/go-workflows/backend/monoprocess"
	"github.com/cschleiden/go-workflows/backend/sqlite"
	"github.com/cschleiden/go-workflows/client"
	"github.com/cschleiden/go-workflows/worker"
	"github.com/cschleiden/go-workflows/workflow"
)

const (
	pollers = 4
	cache   = 1024 // workflows that are kept in memory
)

var done atomic.Int64

func activity(context.Context) error {
	done.Add(1)
	return nil
}

func chain(ctx workflow.Context, length int) error {
	for range length {
		_, err := workflow.ExecuteActivity[any](ctx, workflow.DefaultActivityOptions, activity).Get(ctx)
		if err != nil {
			return err
		}
	}
	return nil
}

// Run measures go-workflows. Its SQLite backend leaves SQLite's default, synchronous FULL.
func Run(ctx context.Context, t measure.Task) (o measure.Outcome, err error) {
	store := sqlite.NewSqliteBackend(t.Database,
		sqlite.WithBackendOptions(backend.WithLogger(slog.New(slog.DiscardHandler))))
	defer func() { _ = store.Close() }() // the file goes next
	// What its authors have for one process: a signal instead of polling.
	mono := monoprocess.NewMonoprocessBackend(store)
	options := worker.DefaultOptions
	options.WorkflowPollers, options.ActivityPollers, options.WorkflowExecutorCacheSize = pollers, pollers, cache
	options.WorkflowPollingInterval, options.ActivityPollingInterval = 0, 0
	w := worker.New(mono, &options)
	if err := w.RegisterWorkflow(chain); err != nil {
		return o, err
	}
	if err := w.RegisterActivity(activity); err != nil {
		return o, err
	}
	working, cancel := context.WithCancel(ctx)
	if err := w.Start(working); err != nil {
		cancel()
		return o, fmt.Errorf("start go-workflows: %w", err)
	}
	defer func() { cancel(); _ = w.WaitForCompletion() }() // all is done by now
	runs := t.Tasks / t.Length
	m, err := measure.Start(0)
	if err != nil {
		return o, err
	}
	if err := work(ctx, store, client.New(mono), runs, t.Length); err != nil {
		return o, err
	}
	if o, err = m.Stop(runs * t.Length); err != nil {
		return o, err
	}
	o.Settings = fmt.Sprintf("monoprocess backend, %d pollers of each kind, cache of %d, synchronous FULL", pollers,
		cache)
	if n := done.Load(); n != int64(runs*t.Length) {
		return o, fmt.Errorf("go-workflows ran %d activities, expected %d", n, runs*t.Length)
	}
	return o, nil
}

// work starts the workflows and waits for their end. It asks the store for that itself, with what counts them all: the
// client's way to wait for one asks less and less often.
func work(ctx context.Context, store backend.Backend, c *client.Client, runs, length int) error {
	for i := range runs {
		_, err := c.CreateWorkflowInstance(ctx, client.WorkflowInstanceOptions{InstanceID: fmt.Sprint("chain-", i)},
			chain, length)
		if err != nil {
			return fmt.Errorf("start a workflow: %w", err)
		}
	}
	const between = 5 * time.Millisecond
	for {
		if done.Load() >= int64(runs*length) {
			stats, err := store.GetStats(ctx)
			if err != nil {
				return fmt.Errorf("ask for open workflows: %w", err)
			}
			if stats.ActiveWorkflowInstances == 0 {
				return nil
			}
		}
		if err := measure.Pause(ctx, between); err != nil {
			return err
		}
	}
}
