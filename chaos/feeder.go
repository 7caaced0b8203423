package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluiceworks/sluice/chaos/step"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// feeder keeps a number of pipelines open. It is a client like any other: if its link is cut, it repeats the request
// with the same key.
type feeder struct {
	engine *engine.Engine
	db     *db.DB
	shapes []step.Shape // each as often as its weight
	poison []step.Shape
	byName map[string]step.Shape
	open   int // how many to keep open
	every  int // one in this many runs has a misbehaving handler; 0: none

	tasks atomic.Int64 // of the runs that it started

	mu        sync.Mutex
	confirmed []dbtype.ID // the runs that were confirmed to a client
	errors    []string    // errors that a client should not see
}

func newFeeder(d *db.DB, open, every int) (*feeder, error) {
	engine, registry, err := compose(d)
	if err != nil {
		return nil, fmt.Errorf("compose the feeder: %w", err)
	}
	f := &feeder{engine: engine, db: d, open: open, every: every, byName: map[string]step.Shape{}}
	for _, s := range step.Shapes() {
		if err := s.Definition.Check(registry); err != nil {
			return nil, fmt.Errorf("pipeline %s: %w", s.Definition.Name, err)
		}
		f.byName[s.Definition.Name] = s
		for range s.Weight {
			f.shapes = append(f.shapes, s)
		}
		if s.Poison {
			f.poison = append(f.poison, s)
		}
	}
	return f, nil
}

// run feeds until ctx ends.
func (f *feeder) run(ctx context.Context) {
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		open, err := count(ctx, f.db, openExecutions, nil)
		if err != nil {
			continue // the database is down
		}
		if missing := f.open - open; missing > 0 {
			f.start(ctx, f.choose(missing))
		}
	}
}

func (f *feeder) choose(n int) []engine.StartRequest {
	requests := make([]engine.StartRequest, n)
	for i := range requests {
		shape := f.shapes[rand.IntN(len(f.shapes))]
		if f.every > 0 && rand.IntN(f.every) == 0 {
			shape = f.poison[rand.IntN(len(f.poison))]
		}
		requests[i] = request(shape)
	}
	return requests
}

func request(s step.Shape) engine.StartRequest {
	r := engine.StartRequest{Definition: s.Definition, IdempotencyKey: dbtype.NewID().String(), Actor: "chaos"}
	if len(s.Definition.Input) > 0 {
		r.Input = json.RawMessage(fmt.Sprintf(`{"at": %d}`, time.Now().Add(200*time.Millisecond).UnixMilli()))
	}
	return r
}

// startNamed starts a run of each of the named pipelines.
func (f *feeder) startNamed(ctx context.Context, names []string) error {
	var requests []engine.StartRequest
	for _, name := range names {
		s, ok := f.byName[name]
		if !ok {
			return fmt.Errorf("no pipeline %q", name)
		}
		requests = append(requests, request(s))
	}
	f.start(ctx, requests)
	return nil
}

// start starts runs, and repeats the request while the database is down. Any other error is recorded as a fault.
func (f *feeder) start(ctx context.Context, requests []engine.StartRequest) {
	for {
		answer, err := f.engine.Start(ctx, requests)
		f.mu.Lock()
		for _, s := range answer {
			f.confirmed = append(f.confirmed, s.ID)
		}
		f.mu.Unlock()
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			return
		}
		if !db.Away(err) {
			f.mu.Lock()
			f.errors = append(f.errors, "starting runs: "+err.Error())
			f.mu.Unlock()
		}
		pause(ctx, again)
	}
	for _, r := range requests {
		f.tasks.Add(int64(len(r.Definition.Tasks)))
	}
}
