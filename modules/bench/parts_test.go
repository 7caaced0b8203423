package bench

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// TestPayload: JSON of exactly the length, and another for each task.
func TestPayload(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 2, 3, 10, 11, 5000} {
		seen := map[string]bool{}
		for range 20 {
			out := payload(n, dbtype.NewID())
			if len(out) != n || n > 0 && !json.Valid(out) {
				t.Fatalf("%d: %d bytes: %s", n, len(out), out)
			}
			seen[string(out)] = true
		}
		if n >= 10 && len(seen) != 20 {
			t.Errorf("%d: %d of 20 differ", n, len(seen))
		}
	}
}

// TestObserved: about one run in so many, and the same in each process.
func TestObserved(t *testing.T) {
	t.Parallel()
	one, other := NewHandler(Settings{SampleEvery: 10}), NewHandler(Settings{SampleEvery: 10})
	n := 0
	for range 10_000 {
		id := dbtype.NewID()
		if one.observed(id) != other.observed(id) {
			t.Fatalf("two processes differ over %s", id)
		}
		if one.observed(id) {
			n++
		}
	}
	if n < 700 || n > 1300 {
		t.Errorf("%d of 10000 were observed", n)
	}
	if h := NewHandler(Settings{}); !h.observed(dbtype.NewID()) {
		t.Error("without a setting, not every run is observed")
	}
}

func TestTally(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newTally()
		reached := make(chan error, 1)
		go func() { reached <- c.await(t.Context(), 3) }()
		c.add(2)
		synctest.Wait()
		if len(reached) != 0 {
			t.Error("two were enough for three")
		}
		c.add(1)
		if err := <-reached; err != nil || c.count() != 3 {
			t.Errorf("%d are done: %v", c.count(), err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := c.await(ctx, 4); !errors.Is(err, context.Canceled) {
			t.Errorf("interrupted: %v", err)
		}
		go func() { reached <- c.await(t.Context(), 5) }()
		synctest.Wait()
		c.fail(errEndedEarly)
		c.fail(errors.New("a later one"))
		if err := <-reached; !errors.Is(err, errEndedEarly) {
			t.Errorf("failed: %v", err)
		}
	})
}

// TestFailedTask: a benchmark whose task fails has measured something else.
func TestFailedTask(t *testing.T) {
	t.Parallel()
	m := &Member{tally: newTally()}
	m.Finished(pipelines.OutcomeReleased)
	if m.tally.failure != nil || m.tally.done != 0 {
		t.Errorf("a task given back: %v", m.tally.failure)
	}
	m.Finished(pipelines.OutcomeFailed)
	if err := m.tally.await(t.Context(), 0); err == nil {
		t.Error("a failed task ends nothing")
	}
}

// TestQuota: runs are taken once each, and no set waits for what only it would bring.
func TestQuota(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, 10, 400, 50_000} {
		l := load{def: &definition.Definition{Tasks: make([]definition.Task, size)}, runs: 1234, ahead: 10_000}
		q := &quota{left: l.runs, before: 7}
		runs := 0
		for {
			before := runs * size
			n, atLeast := q.take(l)
			if n == 0 {
				break
			}
			runs += n
			switch open := 7 + runs*size - int(atLeast); {
			case int(atLeast) > 7+before:
				t.Fatalf("size %d: the set after %d tasks waits for %d", size, before, atLeast-7)
			case open > max(l.ahead, n*size):
				t.Fatalf("size %d: %d tasks may be open", size, open)
			}
		}
		if runs != l.runs {
			t.Errorf("size %d: %d runs of %d", size, runs, l.runs)
		}
	}
}

// TestArrivals: as many as there are runs, at the rate on average, and the gaps are not alike.
func TestArrivals(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := load{runs: 2000, rate: 100}
		arrivals := make(chan struct{}, l.runs)
		began := time.Now()
		if err := l.arrive(t.Context(), time.Now, arrivals); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); len(arrivals) != l.runs || took < 15*time.Second || took > 25*time.Second {
			t.Errorf("%d arrived in %v", len(arrivals), took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := l.arrive(ctx, time.Now, make(chan struct{}, l.runs)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("interrupted: %v", err)
		}
	})
}

func TestUsage(t *testing.T) {
	t.Parallel()
	cpu, memory, err := usage()
	if err != nil || cpu <= 0 || memory < 1<<20 {
		t.Errorf("%v s, %d bytes: %v", cpu, memory, err)
	}
	s, ok := parseStat("17 (a) b (c)) S 4 17 17 0 -1 4194560 1 2 3 4 100 20 3 4 20 0 1 0\n")
	if want := (stat{name: "a) b (c)", parent: 4, used: 120, children: 7}); !ok || s != want {
		t.Errorf("read %+v, expected %+v", s, want)
	}
	for _, line := range []string{"", "17 a S 4", "17 (a) S", "17 (a) S 4 x 17 0 -1 4194560 1 2 3 4 100 20 3 4"} {
		if s, ok := parseStat(line); ok {
			t.Errorf("%q is %+v", line, s)
		}
	}
	if _, ok := serverCPU(os.Getpid()); ok {
		t.Error("this process passes for a server")
	}
	if _, ok := serverCPU(0); ok {
		t.Error("no process passes for a server")
	}
}
