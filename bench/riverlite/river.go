// Package riverlite measures River on SQLite: independent jobs, inserted and worked off.
package riverlite

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/sluiceworks/sluice/bench/measure"

	_ "github.com/mattn/go-sqlite3"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"
)

// One connection is what River advises for SQLite, and FULL is what makes a commit survive a power cut.
const (
	options   = "?_journal_mode=WAL&_synchronous=FULL&_busy_timeout=10000&_txlock=immediate"
	workers   = 1000
	cooldown  = 2 * time.Millisecond
	poll      = 20 * time.Millisecond
	perInsert = 500
)

type args struct {
	Number int `json:"n"`
}

func (args) Kind() string { return "nothing" }

type worker struct {
	river.WorkerDefaults[args]
	worked atomic.Int64
}

func (w *worker) Work(context.Context, *river.Job[args]) error {
	w.worked.Add(1)
	return nil
}

// Run measures River.
func Run(ctx context.Context, t measure.Task) (o measure.Outcome, err error) {
	db, err := sql.Open("sqlite3", "file:"+t.Database+options)
	if err != nil {
		return o, err
	}
	defer func() { _ = db.Close() }() // the file goes next
	db.SetMaxOpenConns(1)
	w := &worker{}
	client, err := open(ctx, db, w)
	if err != nil {
		return o, err
	}
	if err := client.Start(ctx); err != nil {
		return o, fmt.Errorf("start River: %w", err)
	}
	defer func() { _ = client.Stop(context.WithoutCancel(ctx)) }() // all is done by now
	m, err := measure.Start(0)
	if err != nil {
		return o, err
	}
	for i := 0; i < t.Tasks; {
		batch := make([]river.InsertManyParams, min(perInsert, t.Tasks-i))
		for k := range batch {
			batch[k].Args = args{i + k}
		}
		if _, err := client.InsertManyFast(ctx, batch); err != nil {
			return o, fmt.Errorf("insert jobs: %w", err)
		}
		i += len(batch)
	}
	if err := wait(ctx, db, t.Tasks); err != nil {
		return o, err
	}
	if o, err = m.Stop(t.Tasks); err != nil {
		return o, err
	}
	if got := w.worked.Load(); got < int64(t.Tasks) {
		return o, fmt.Errorf("%d jobs were worked, expected %d", got, t.Tasks)
	}
	o.Settings = fmt.Sprintf("MaxWorkers %d, FetchCooldown %s, FetchPollInterval %s, InsertManyFast of %d, "+
		"one connection, WAL, synchronous FULL", workers, cooldown, poll, perInsert)
	return o, nil
}

func open(ctx context.Context, db *sql.DB, w *worker) (*river.Client[*sql.Tx], error) {
	driver := riversqlite.New(db)
	migrator, err := rivermigrate.New(driver, &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return nil, fmt.Errorf("migrate River: %w", err)
	}
	all := river.NewWorkers()
	river.AddWorker(all, w)
	return river.NewClient(driver, &river.Config{
		Logger: slog.New(slog.DiscardHandler), Workers: all, FetchCooldown: cooldown, FetchPollInterval: poll,
		Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: workers}},
	})
}

// wait waits until n jobs are completed. It asks now and then, because the one connection is the workers' too.
func wait(ctx context.Context, db *sql.DB, n int) error {
	const between = 10 * time.Millisecond
	for open := true; open; {
		err := db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM river_job WHERE state <> 'completed')`).Scan(&open)
		if err != nil {
			return fmt.Errorf("look for open jobs: %w", err)
		}
		if err := measure.Pause(ctx, between); err != nil {
			return err
		}
	}
	var completed int
	err := db.QueryRowContext(ctx, `SELECT count(*) FROM river_job WHERE state = 'completed'`).Scan(&completed)
	if err != nil {
		return err
	}
	if completed != n {
		return fmt.Errorf("there are %d completed jobs, expected %d", completed, n)
	}
	return nil
}
