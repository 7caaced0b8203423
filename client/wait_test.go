package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/sluiceworks/sluice/client"
	"github.com/sluiceworks/sluice/modules/audit/audittest"
	"github.com/sluiceworks/sluice/modules/events/eventstore"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
)

func tailFilter(id client.ID) eventstore.Filter { return eventstore.Filter{PipelineExecutionID: id} }

// TestWaitInAnotherProcess checks that many calls of Wait notice the ends of runs that a worker of another handle on
// the database runs.
func TestWaitInAnotherProcess(t *testing.T) {
	t.Parallel()
	audittest.Each(t, func(t *testing.T, d *db.DB) {
		worker, waiter := open(t, d, client.Options{}), open(t, dbtest.Open(t, d.URL()), client.Options{})
		def := parse(t, "name: p\ntasks:\n  - {id: a, uses: double, with: {n: 3}}\n")
		var waiting sync.WaitGroup
		for range 10 {
			id := start(t, waiter, def)
			for range 5 {
				waiting.Go(func() {
					if x, err := waiter.Wait(t.Context(), id); err != nil || x.Status != pipelines.Completed {
						t.Errorf("%s %v", x.Status, err)
					}
				})
			}
		}
		work(t, worker, client.WorkerConfig{}, double)
		waiting.Wait()
	})
}

func TestWaitEndsBeforeTheRun(t *testing.T) {
	t.Parallel()
	audittest.Each(t, func(t *testing.T, d *db.DB) {
		c := client.New(d, client.Options{})
		id := start(t, c, parse(t, "name: p\ntasks:\n  - {id: a, uses: nobody}\n"))
		if _, err := c.Wait(t.Context(), client.ID{1}); !errors.Is(err, pipelines.ErrExecutionNotFound) {
			t.Errorf("an unknown run: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if x, err := c.Wait(ctx, id); !errors.Is(err, context.DeadlineExceeded) || x.ID != id ||
			x.Status != pipelines.Running {
			t.Errorf("%+v %v", x, err)
		}
		result := make(chan error, 2)
		go func() {
			_, err := c.Wait(t.Context(), id)
			result <- err
		}()
		go func() {
			for _, err := range c.Tail(t.Context(), client.Cursor{}, client.TailOptions{}) {
				if err != nil {
					result <- err
				}
			}
		}()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		for range 2 {
			if err := <-result; !errors.Is(err, client.ErrClosed) {
				t.Errorf("after Close: %v", err)
			}
		}
	})
}

// TestTailContinues checks that a tail from the position of each batch returns what follows, and one from End only what
// is new.
func TestTailContinues(t *testing.T) {
	t.Parallel()
	audittest.Each(t, func(t *testing.T, d *db.DB) {
		c := open(t, d, client.Options{})
		def := parse(t, "name: p\ntasks:\n  - {id: a, uses: nobody}\n")
		first := start(t, c, def)
		end, err := c.End(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		second := start(t, c, def)
		read := func(from string, n int) (ids []client.ID, cursors []string) {
			cursor, err := client.ParseCursor(from)
			if err != nil {
				t.Fatal(err)
			}
			for b, err := range c.Tail(t.Context(), cursor, client.TailOptions{Batch: 1}) {
				if err != nil {
					t.Fatal(err)
				}
				for _, e := range b.Events {
					ids, cursors = append(ids, e.PipelineExecutionID), append(cursors, b.Cursor.String())
				}
				if len(ids) == n {
					break
				}
			}
			return ids, cursors
		}
		all, cursors := read("", 6) // each run has an event of its own, and two of its task
		if fmt.Sprint(all) != fmt.Sprint([]client.ID{first, first, first, second, second, second}) {
			t.Fatal(all)
		}
		for i := range 5 {
			if rest, _ := read(cursors[i], 5-i); fmt.Sprint(rest) != fmt.Sprint(all[i+1:]) {
				t.Errorf("after event %d: %v", i, rest)
			}
		}
		if rest, _ := read(end.String(), 3); rest[0] != second {
			t.Errorf("from the end: %v", rest)
		}
		if _, err := client.ParseCursor("nonsense"); !errors.Is(err, eventstore.ErrCursor) {
			t.Error(err)
		}
	})
}

// TestWorkerStops checks that a stopping worker lets running tasks end, and returns them to the queue if it may not
// wait.
func TestWorkerStops(t *testing.T) {
	t.Parallel()
	audittest.Each(t, func(t *testing.T, d *db.DB) {
		c := open(t, d, client.Options{})
		began, release := make(chan struct{}, 2), make(chan struct{})
		hold := tasks.NewHandler("hold", func(ctx context.Context, _ struct{}) (struct{}, error) {
			began <- struct{}{}
			select {
			case <-release:
				return struct{}{}, nil
			case <-ctx.Done():
				return struct{}{}, ctx.Err()
			}
		})
		def := parse(t, "name: p\ntasks:\n  - {id: a, uses: hold}\n")
		id := start(t, c, def)
		w := work(t, c, client.WorkerConfig{}, hold)
		if err := w.Start(t.Context()); !errors.Is(err, client.ErrWorkerStarted) {
			t.Errorf("a second start: %v", err)
		}
		<-began
		if s := w.State(); s.Used < 1 || s.Slots != 1000 || s.Worker == "" {
			t.Errorf("%+v", s)
		}
		killed, cancel := context.WithCancel(t.Context())
		cancel()
		if err := w.Stop(killed); err != nil {
			t.Error(err)
		}
		<-w.Done()
		if list, err := c.Tasks(t.Context(), id); err != nil || list[0].Status != tasks.Ready {
			t.Errorf("%+v %v", list, err)
		}
		second, err := c.NewWorker([]tasks.Handler{hold}, client.WorkerConfig{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		result := make(chan error, 1)
		go func() { result <- second.Run(ctx) }()
		<-began
		stop()
		close(release)
		if err := <-result; err != nil {
			t.Error(err)
		}
		if x, err := c.Get(t.Context(), id); err != nil || x.Status != pipelines.Completed {
			t.Errorf("%s %v", x.Status, err)
		}
		third, err := c.NewWorker([]tasks.Handler{hold}, client.WorkerConfig{})
		if err != nil {
			t.Fatal(err)
		}
		if err := third.Stop(t.Context()); err != nil {
			t.Errorf("a worker that was not started: %v", err)
		}
	})
}

// TestCloseStopsWorkers checks that Close waits for running tasks, and removes the workers' rows.
func TestCloseStopsWorkers(t *testing.T) {
	t.Parallel()
	audittest.Each(t, func(t *testing.T, d *db.DB) {
		c := client.New(d, client.Options{})
		began, release := make(chan struct{}), make(chan struct{})
		hold := tasks.NewHandler("hold", func(context.Context, struct{}) (struct{}, error) {
			began <- struct{}{}
			<-release
			return struct{}{}, nil
		})
		id := start(t, c, parse(t, "name: p\ntasks:\n  - {id: a, uses: hold}\n"))
		work(t, c, client.WorkerConfig{}, hold)
		<-began
		closed := make(chan error, 1)
		go func() { closed <- c.Close() }()
		close(release)
		if err := <-closed; err != nil {
			t.Error(err)
		}
		after := open(t, d, client.Options{})
		if x, err := after.Get(t.Context(), id); err != nil || x.Status != pipelines.Completed {
			t.Errorf("%s %v", x.Status, err)
		}
		rows := 0
		err := d.Query(t.Context(), `SELECT count(*) FROM {workers}`, nil,
			func(scan db.Scan) error { return scan(&rows) })
		if err != nil || rows != 0 {
			t.Errorf("%d workers are registered, %v", rows, err)
		}
	})
}

func TestNewWorkerRefuses(t *testing.T) {
	t.Parallel()
	c := open(t, dbtest.SQLite(t), client.Options{})
	for name, config := range map[string]client.WorkerConfig{
		"slots":             {Slots: -1},
		"a short lease":     {Lease: time.Millisecond},
		"a queue":           {Queues: []string{"Not A Queue"}},
		"an unknown limit":  {HandlerLimits: map[string]int{"triple": 1}},
		"a limit of nobody": {HandlerLimits: map[string]int{"double": 0}},
	} {
		if _, err := c.NewWorker([]tasks.Handler{double}, config); !errors.Is(err, pipelines.ErrInvalidArgument) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := c.NewWorker([]tasks.Handler{double, double}, client.WorkerConfig{}); err == nil {
		t.Error("two handlers of one name were accepted")
	}
}

// dirless is a Handler of its own kind, which needs the run's directory.
type dirless struct{}

func (dirless) Name() string               { return "dirless" }
func (dirless) Check(map[string]any) error { return nil }

func (dirless) Run(_ context.Context, a *tasks.Attempt) (json.RawMessage, error) {
	return nil, tasks.NonRetryable(a.MakeRunDir())
}

// TestWorkerWithoutRunDirs checks that a handler that needs a directory of the run gets an error, and does not panic.
func TestWorkerWithoutRunDirs(t *testing.T) {
	t.Parallel()
	audittest.Each(t, func(t *testing.T, d *db.DB) {
		c := open(t, d, client.Options{})
		work(t, c, client.WorkerConfig{}, dirless{})
		id := start(t, c, parse(t, "name: p\ntasks:\n  - {id: a, uses: dirless}\n"))
		wait(t, c, id)
		if list, err := c.Tasks(t.Context(), id); err != nil || list[0].ErrorKind != tasks.KindPermanent {
			t.Errorf("%+v %v", list, err)
		}
	})
}
