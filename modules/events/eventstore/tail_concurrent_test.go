package eventstore_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/sluiceworks/sluice/modules/enginetest"
	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/events/eventstore"
	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/modules/workers"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// stormEnv sets how many seconds the writers write:
//
//	SLUICE_TAIL_SECONDS=600 go test -v -run TailStorm -timeout 20m ./modules/events
const stormEnv = "SLUICE_TAIL_SECONDS"

func stormTime(t *testing.T) time.Duration {
	t.Helper()
	n, err := strconv.Atoi(cmp.Or(os.Getenv(stormEnv), "3"))
	if err != nil || n < 1 {
		t.Fatalf("%s: expected a number of seconds", stormEnv)
	}
	return time.Duration(n) * time.Second
}

// lastActor is the actor of the last event.
const lastActor = "last"

// TestTailOfConcurrentWriters runs many writers at full speed. Readers that stop at random and continue from their
// cursors must return what a full scan returns: each event once, and each task's and each pipeline's events in the
// order of their versions.
func TestTailOfConcurrentWriters(t *testing.T) {
	t.Parallel()
	enginetest.Each(t, []tasks.Handler{&enginetest.Scripted{}}, func(t *testing.T, s *enginetest.Stack) {
		writers := map[string]int{"postgres": 16, "sqlite": 4}[s.DB.Backend()]
		storm := &storm{committed: map[int]time.Time{}, latency: map[int]time.Duration{}}
		writing, stop := context.WithTimeout(t.Context(), stormTime(t))
		defer stop()
		var work group
		for range writers {
			work.Go(func() error { return storm.write(t, writing, s.DB.URL()) })
		}
		work.Go(func() error { return storm.probe(t, writing, s) })
		reading, cancel := context.WithTimeout(t.Context(), stormTime(t)+aMinute)
		defer cancel()
		tails := make([][]events.Event, 3)
		var reads group
		for i := range tails {
			reads.Go(func() (err error) {
				tails[i], err = storm.read(reading, s.Events, i == 0)
				return err
			})
		}
		if err := work.Wait(); err != nil {
			t.Error(err)
		}
		last := s.Start(t, t.Context(), s.Define(t, "last", definition.Task{ID: "never", Uses: "scripted"}), "")
		if err := s.Engine.Annotate(t.Context(),
			engine.Annotation{PipelineExecutionID: last, Data: dbtype.JSON(`{}`), Actor: lastActor}); err != nil {
			t.Fatal(err)
		}
		whole, err := s.Events.List(t.Context(), eventstore.Filter{})
		if err != nil {
			t.Fatal(err)
		}
		if err := reads.Wait(); err != nil {
			t.Fatal(err)
		}
		for _, got := range tails {
			sameEvents(t, whole, got)
			ordered(t, got)
		}
		storm.report(t, len(whole))
	})
}

// group runs functions concurrently and collects their errors.
type group struct {
	sync.WaitGroup
	mu   sync.Mutex
	errs error
}

func (g *group) Go(run func() error) {
	g.WaitGroup.Go(func() {
		err := run()
		g.mu.Lock()
		defer g.mu.Unlock()
		g.errs = errors.Join(g.errs, err)
	})
}

func (g *group) Wait() error {
	g.WaitGroup.Wait()
	return g.errs
}

// storm records when probes were committed and when they arrived.
type storm struct {
	mu        sync.Mutex
	committed map[int]time.Time
	latency   map[int]time.Duration
	breaks    int
}

// write starts runs with a join, and works on everybody's tasks, with a database handle of its own.
func (s *storm) write(t *testing.T, ctx context.Context, url string) error {
	d, err := db.Open(context.WithoutCancel(ctx), url)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	stack := enginetest.New(t, d, &enginetest.Scripted{})
	step := func(id string, needs ...string) definition.Task {
		return definition.Task{ID: id, Uses: "scripted", Needs: needs}
	}
	def := stack.Define(t, "diamond", step("a"), step("b", "a"), step("c", "a"), step("d", "a"),
		step("e", "b", "c", "d"))
	working, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	done := make(chan error, 1)
	go func() { done <- stack.Pool(workers.Config{Slots: 16}).Run(working) }()
	for ctx.Err() == nil {
		started, err := stack.Engine.Start(working,
			slices.Repeat([]engine.StartRequest{{Definition: def, Actor: "test"}}, 8))
		if err != nil {
			return err
		}
		stack.Wait(t, working, started[len(started)-1].ID)
	}
	stop()
	return <-done
}

// probe repeatedly commits an annotation, and records when it did.
func (s *storm) probe(t *testing.T, ctx context.Context, stack *enginetest.Stack) error {
	id := stack.Start(t, context.WithoutCancel(ctx),
		stack.Define(t, "probe", definition.Task{ID: "never", Uses: "scripted", Queue: "nobody"}), "")
	tick := time.NewTicker(7 * time.Millisecond)
	defer tick.Stop()
	for n := 1; ctx.Err() == nil; n++ {
		a := engine.Annotation{
			PipelineExecutionID: id, Data: dbtype.JSON(fmt.Sprintf(`{"probe": %d}`, n)),
			Actor: "test",
		}
		if err := stack.Engine.Annotate(context.WithoutCancel(ctx), a); err != nil {
			return err
		}
		s.mu.Lock()
		s.committed[n] = time.Now()
		s.mu.Unlock()
		<-tick.C
	}
	return nil
}

// read tails until the last event. Unless the reader is steady, it stops and continues again and again.
func (s *storm) read(ctx context.Context, r *eventstore.Repository, steady bool) (out []events.Event, err error) {
	for place := ""; ; {
		c, err := eventstore.ParseCursor(place)
		if err != nil {
			return nil, err
		}
		until, options := len(out)+1+rand.IntN(2000), eventstore.TailOptions{}
		if !steady {
			options.Batch = 1 + rand.IntN(500)
		}
		for b, err := range r.Tail(ctx, c, options) {
			if err != nil {
				return out, fmt.Errorf("after %d events: %w", len(out), err)
			}
			for _, e := range b.Events {
				if out, place = append(out, e.Event), e.Cursor.String(); string(e.Actor) == lastActor {
					return out, nil
				}
				if steady {
					s.arrived(e.Event)
				} else if len(out) >= until {
					break // within a batch
				}
			}
			if !steady && len(out) >= until {
				break
			}
		}
		s.mu.Lock()
		s.breaks++
		s.mu.Unlock()
	}
}

func (s *storm) arrived(e events.Event) {
	var data struct{ Probe int }
	if e.EventType != events.Annotation || json.Unmarshal(e.EventData, &data) != nil {
		return
	}
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.latency[data.Probe] = 0 // it arrived before the writer's commit returned
	if at, ok := s.committed[data.Probe]; ok {
		s.latency[data.Probe] = now.Sub(at)
	}
}

// report logs how long events took. It asserts nothing, because the machine's speed is unknown.
func (s *storm) report(t *testing.T, total int) {
	t.Helper()
	var all []time.Duration
	for _, l := range s.latency {
		all = append(all, l)
	}
	slices.Sort(all)
	if len(all) == 0 {
		t.Fatal("no probe came")
	}
	t.Logf("%d events, %d tails; commit to delivery of %d probes: median %s, 99 %% %s, longest %s", total, s.breaks,
		len(all),
		all[len(all)/2].Round(time.Microsecond*100), all[len(all)*99/100].Round(time.Microsecond*100),
		all[len(all)-1].Round(time.Microsecond*100))
}

// sameEvents compares two lists as multisets.
func sameEvents(t *testing.T, want, got []events.Event) {
	t.Helper()
	count := map[dbtype.ID]int{}
	for _, e := range want {
		count[e.ID]++
	}
	for _, e := range got {
		count[e.ID]--
	}
	missing, more := 0, 0
	for _, n := range count {
		missing, more = missing+max(n, 0), more+max(-n, 0)
	}
	if missing > 0 || more > 0 {
		t.Errorf("of %d events %d are missing from the tail, %d came too often", len(want), missing, more)
	}
}

// ordered checks that the events of each task and of each pipeline are in the order of their versions.
func ordered(t *testing.T, list []events.Event) {
	t.Helper()
	last, wrong := map[[2]dbtype.ID]int64{}, 0
	for _, e := range list {
		if e.Version == nil {
			continue
		}
		key := [2]dbtype.ID{e.PipelineExecutionID, e.TaskExecutionID}
		if *e.Version != last[key]+1 {
			wrong++
		}
		last[key] = *e.Version
	}
	if wrong > 0 {
		t.Errorf("%d of %d events are out of their task's or pipeline's order", wrong, len(list))
	}
}
