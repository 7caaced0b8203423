// Package sluicetest tests handlers and pipelines. Handle calls one handler without a database. New runs whole
// pipelines with the real engine and a real worker on a temporary SQLite file, with a clock that the test controls: the
// delays of retries, sleeps and deferrals are skipped, so that a test takes a fraction of a second. At the end of each
// test, the whole history is verified, as `sluice verify` does.
package sluicetest

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluiceworks/sluice/client"
	"github.com/sluiceworks/sluice/modules/audit/audittest"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
)

const (
	// lease is longer than any time that a test skips, so that the workers' leases do not expire with it.
	lease = 200 * 365 * 24 * time.Hour
	slots = 16
	// timeout is how long, in real time, Wait and Until wait for what does not happen.
	timeout = time.Minute
	// refresh is how often they read a run that nothing is known to have changed.
	refresh = 50 * time.Millisecond
)

// Engine runs pipelines in a test. Create it with New. Its methods fail the test instead of returning errors. They must
// be called from the test's goroutine.
type Engine struct {
	t        testing.TB
	db       *db.DB
	client   *client.Client
	handlers []tasks.Handler
	registry *tasks.Registry
	queues   []string // that workers serve
}

// New returns an engine on a new SQLite file. Its worker has the given handlers and serves every queue that the
// pipelines of the test name. When the test ends, the worker is stopped and the history verified: a breach fails the
// test.
func New(t testing.TB, handlers ...tasks.Handler) *Engine {
	t.Helper()
	registry, err := tasks.NewRegistry(handlers)
	if err != nil {
		t.Fatal(err)
	}
	e := &Engine{t: t, db: dbtest.SQLite(t), handlers: handlers, registry: registry}
	t.Cleanup(func() { audittest.Check(t, e.db) }) // after the worker has stopped
	e.client = client.New(e.db, client.Options{Actor: "test"})
	t.Cleanup(func() {
		if err := e.client.Close(); err != nil {
			t.Errorf("stop the worker: %v", err)
		}
	})
	return e
}

// Client returns a client of the engine, to control runs, list them and read their history. Client.Wait skips no time.
func (e *Engine) Client() *client.Client { return e.client }

// Parse parses a pipeline from YAML, and fails the test with each mistake.
func (e *Engine) Parse(yaml string) *definition.Definition {
	e.t.Helper()
	def, err := definition.Parse("pipeline.yaml", []byte(yaml), e.registry)
	if err != nil {
		e.t.Fatal(err)
	}
	return def
}

// Run is one run of a pipeline in its current state.
type Run struct {
	pipelines.Execution
	Tasks []tasks.Task // in the order of the definition

	t testing.TB
}

// Task returns a task by its id in the definition. It fails the test if there is none.
func (r Run) Task(id string) tasks.Task {
	r.t.Helper()
	for _, t := range r.Tasks {
		if t.TaskName == id {
			return t
		}
	}
	r.t.Fatalf("pipeline %s has no task %q", r.PipelineName, id)
	return tasks.Task{}
}

// Decode decodes the output of a task into the value that v points to. It fails the test if that is not possible.
func (r Run) Decode(task string, v any) {
	r.t.Helper()
	if err := json.Unmarshal(r.Task(task).Output, v); err != nil {
		r.t.Fatalf("output of %s, which is %s: %v", task, r.Task(task).Status, err)
	}
}

// String returns the statuses of the run and its tasks in one line.
func (r Run) String() string {
	parts := make([]string, len(r.Tasks))
	for i, t := range r.Tasks {
		if parts[i] = fmt.Sprintf("%s %s", t.TaskName, t.Status); t.Error != "" {
			parts[i] += fmt.Sprintf(" (%s)", t.Error)
		}
	}
	return fmt.Sprintf("%s %s: %s", r.PipelineName, r.Status, strings.Join(parts, ", "))
}

// Run starts a run, and waits for its end as Wait does.
func (e *Engine) Run(def *definition.Definition, input any) Run {
	e.t.Helper()
	return e.Wait(e.Start(def, input))
}

// Start starts a run with an input, which is encoded as a JSON object; nil is {}. A definition that was built in Go and
// not yet checked is checked first.
func (e *Engine) Start(def *definition.Definition, input any) client.ID {
	e.t.Helper()
	if _, _, err := def.Encode(); err != nil {
		if err := def.Check(e.registry); err != nil {
			e.t.Fatal(err)
		}
	}
	for i := range def.Tasks {
		if _, ok := e.registry.Handler(def.Tasks[i].Handler()); !ok {
			e.t.Fatalf("task %s uses the handler %q, which New was not given", def.Tasks[i].ID, def.Tasks[i].Handler())
		}
	}
	e.serve(def)
	r := client.StartRequest{Definition: def, Input: encodeObject(e.t, "input", input)}
	started, err := e.client.Start(e.t.Context(), r)
	if err != nil {
		e.t.Fatal(err)
	}
	return started.ID
}

// serve starts a worker for the queues of a definition that none serves yet.
func (e *Engine) serve(def *definition.Definition) {
	e.t.Helper()
	var missing []string
	for i := range def.Tasks {
		queue := cmp.Or(def.Tasks[i].Queue, tasks.DefaultQueue)
		if !slices.Contains(e.queues, queue) {
			missing, e.queues = append(missing, queue), append(e.queues, queue)
		}
	}
	if len(missing) == 0 {
		return
	}
	w, err := e.client.NewWorker(e.handlers,
		client.WorkerConfig{Slots: slots, Queues: missing, Lease: lease, Drain: -1})
	if err != nil {
		e.t.Fatal(err)
	}
	if err := w.Start(e.t.Context()); err != nil {
		e.t.Fatal(err)
	}
}

// Now returns the time of the engine's clock. It runs like the local clock, and is ahead by what was skipped.
func (e *Engine) Now() time.Time { return e.db.Now() }

// Advance makes the clock later by d. What becomes due by that is run, and runs whose timeout is over are ended. The
// timeout of a running attempt is measured in real time and does not change. It panics if d is negative.
func (e *Engine) Advance(d time.Duration) {
	e.t.Helper()
	e.db.AdvanceClock(d)
	ctx := e.t.Context()
	for {
		ended, _, err := e.client.Engine().EndOverdue(ctx)
		if err != nil {
			e.t.Fatal(err)
		}
		if len(ended) == 0 {
			break
		}
	}
	e.client.Engine().Notifier().NotifyRemote(ctx, true)
}

// Get returns a run in its current state.
func (e *Engine) Get(id client.ID) Run {
	e.t.Helper()
	ctx := e.t.Context()
	x, err := e.client.Get(ctx, id)
	if err != nil {
		e.t.Fatal(err)
	}
	list, err := e.client.Tasks(ctx, id)
	if err != nil {
		e.t.Fatal(err)
	}
	return Run{Execution: x, Tasks: list, t: e.t}
}

// Wait waits for the end of a run. Whenever none of its tasks can run before a retry, a sleep or a deferral is due, it
// advances the clock to that time. It fails the test if the run has not ended after a minute of real time.
func (e *Engine) Wait(id client.ID) Run {
	e.t.Helper()
	return e.until(id, "end", func(r Run) bool {
		if r.Status.Terminal() {
			return true
		}
		if due := r.nextDue(); !due.IsZero() {
			if d := due.Sub(e.Now()); d > 0 {
				e.Advance(d)
			}
		}
		return false
	})
}

// Until waits until a condition holds for a run, and returns the run. It skips no time. It fails the test if the
// condition does not hold after a minute of real time.
func (e *Engine) Until(id client.ID, holds func(Run) bool) Run {
	e.t.Helper()
	return e.until(id, "reach the state that the test waits for", holds)
}

func (e *Engine) until(id client.ID, what string, holds func(Run) bool) Run {
	e.t.Helper()
	ctx, cancel := context.WithTimeout(e.t.Context(), timeout)
	defer cancel()
	changed, unsubscribe := e.client.Engine().Notifier().SubscribeCommits(ctx)
	defer unsubscribe()
	tick := time.NewTicker(refresh)
	defer tick.Stop()
	for {
		r := e.Get(id)
		if holds(r) {
			return r
		}
		select {
		case <-changed:
		case <-tick.C:
		case <-ctx.Done():
			e.t.Fatalf("the run did not %s within %s: %s", what, timeout, r)
		}
	}
}

// nextDue returns when the next task of the run is due, or when the run times out, whichever is earlier. It returns the
// zero time if a task runs or is due already, or if nothing will be due, as in a run that is paused.
func (r Run) nextDue() time.Time {
	due := time.Time{}
	for _, t := range r.Tasks {
		switch {
		case t.Status == tasks.Running, t.Status == tasks.Ready && t.RetryAt.IsZero():
			return time.Time{}
		case t.Status == tasks.Ready && (due.IsZero() || t.RetryAt.Before(due)):
			due = t.RetryAt.Time
		}
	}
	if r.Status == pipelines.Paused {
		due = time.Time{}
	}
	if deadline := r.DeadlineAt; !deadline.IsZero() && !due.IsZero() && deadline.Before(due) {
		due = deadline.Time
	}
	return due
}
