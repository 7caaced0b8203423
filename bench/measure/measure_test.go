package measure

import (
	"context"
	"errors"
	"os"
	"slices"
	"sync"
	"testing"
	"time"
)

// TestArrive hands over each once, not before its time on average.
func TestArrive(t *testing.T) {
	const n, rate = 300, 2000.
	var mu sync.Mutex
	var got []int
	began := time.Now()
	err := Arrive(t.Context(), n, rate, func(_ context.Context, list []int) error {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, list...)
		return nil
	})
	slices.Sort(got)
	if err != nil || len(got) != n || got[0] != 0 || len(slices.Compact(got)) != n {
		t.Errorf("%d arrived: %v", len(got), err)
	}
	if took := time.Since(began).Seconds(); took < n/rate/2 {
		t.Errorf("all arrived within %v s", took)
	}
	failure := errors.New("full")
	err = Arrive(t.Context(), n, rate, func(context.Context, []int) error { return failure })
	if !errors.Is(err, failure) {
		t.Errorf("a failure gives %v", err)
	}
}

func TestLatencies(t *testing.T) {
	var all []time.Duration
	for i := 100; i > 0; i-- {
		all = append(all, time.Duration(i)*time.Millisecond)
	}
	if l := Latencies(all); *l != (Latency{P50: 50, P99: 99, Count: 100}) {
		t.Errorf("%+v", l)
	}
	if Latencies(nil) != nil {
		t.Error("the latency of nothing")
	}
}

// TestServerCPU reads a process that is there, and refuses one that is not.
func TestServerCPU(t *testing.T) {
	if _, err := ServerCPU(os.Getpid()); err != nil {
		t.Error(err)
	}
	const none = 1 << 30
	if _, err := ServerCPU(none); err == nil {
		t.Error("a process that is not there has a processor time")
	}
}
