// Command riverlite measures River on SQLite: independent jobs, inserted and worked off. It prints one JSON document.
package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

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

func main() {
	path, tasks := flag.String("database", "", "`PATH` of a new file"), flag.Int("tasks", 1000, "run `N` jobs")
	flag.Parse()
	if err := run(context.Background(), *path, *tasks); err != nil {
		fmt.Fprintln(os.Stderr, "riverlite:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, path string, n int) error {
	db, err := sql.Open("sqlite3", "file:"+path+options)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }() // the file goes next
	db.SetMaxOpenConns(1)
	w := &worker{}
	client, err := open(ctx, db, w)
	if err != nil {
		return err
	}
	if err := client.Start(ctx); err != nil {
		return fmt.Errorf("start River: %w", err)
	}
	defer func() { _ = client.Stop(ctx) }() // all is done by now
	began, cpu := time.Now(), ownCPU()
	for i := 0; i < n; {
		batch := make([]river.InsertManyParams, min(perInsert, n-i))
		for k := range batch {
			batch[k].Args = args{i + k}
		}
		if err := insert(ctx, db, client, batch); err != nil {
			return fmt.Errorf("insert jobs: %w", err)
		}
		i += len(batch)
	}
	if err := wait(ctx, db, n); err != nil {
		return err
	}
	seconds := time.Since(began).Seconds()
	if got := w.worked.Load(); got < int64(n) {
		return fmt.Errorf("%d jobs were worked, expected %d", got, n)
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{
		"versions": versions(), "tasks": n, "seconds": seconds, "tasks_per_second": float64(n) / seconds, "cpu_seconds": ownCPU() - cpu,
		"settings": fmt.Sprintf("MaxWorkers %d, FetchCooldown %s, FetchPollInterval %s, InsertManyFastTx of %d, one connection, WAL, synchronous FULL", workers, cooldown, poll, perInsert),
	})
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

// insert is InsertManyFast in a transaction of its own: without one, this version of it panics where there is no
// NOTIFY.
func insert(ctx context.Context, db *sql.DB, client *river.Client[*sql.Tx], batch []river.InsertManyParams) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if _, err := client.InsertManyFastTx(ctx, tx, batch); err != nil {
		_ = tx.Rollback() // the first error says more
		return err
	}
	return tx.Commit()
}

// wait waits until n jobs are completed. It asks now and then: the one connection is the workers' too.
func wait(ctx context.Context, db *sql.DB, n int) error {
	const between = 10 * time.Millisecond
	tick := time.NewTicker(between)
	defer tick.Stop()
	for {
		var open int
		if err := db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM river_job WHERE state <> 'completed')`).Scan(&open); err != nil {
			return fmt.Errorf("look for open jobs: %w", err)
		}
		if open == 0 {
			break
		}
		<-tick.C
	}
	var completed int
	if err := db.QueryRowContext(ctx, `SELECT count(*) FROM river_job WHERE state = 'completed'`).Scan(&completed); err != nil {
		return err
	}
	if completed != n {
		return fmt.Errorf("there are %d completed jobs, expected %d", completed, n)
	}
	return nil
}

// versions are those of the modules that this program was built with.
func versions() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	var list []string
	for _, m := range info.Deps {
		switch m.Path {
		case "github.com/riverqueue/river", "github.com/mattn/go-sqlite3":
			list = append(list, m.Path+" "+m.Version)
		}
	}
	return strings.Join(list, ", ")
}

func ownCPU() float64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	seconds := func(t syscall.Timeval) float64 { return float64(t.Sec) + float64(t.Usec)/1e6 }
	return seconds(u.Utime) + seconds(u.Stime)
}
