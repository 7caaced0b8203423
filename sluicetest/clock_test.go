package sluicetest_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/sluiceworks/sluice/modules/handlers/wait"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/sluicetest"
)

// TestWaitSkipsTime checks that the delays of retries, sleeps, deferrals and the pipeline's timeout take no real time,
// and that each attempt sees the time that it was due at.
func TestWaitSkipsTime(t *testing.T) {
	t.Parallel()
	var seen []time.Time
	flaky := tasks.NewHandler("flaky", func(ctx context.Context, _ struct{}) (struct{}, error) {
		a, _ := tasks.AttemptFrom(ctx)
		switch seen = append(seen, a.Now()); {
		case a.Number < 3:
			return struct{}{}, errors.New("try again")
		case !a.Resumed:
			return struct{}{}, tasks.DeferUntil(a.Now().Add(30*24*time.Hour), "next month")
		}
		return struct{}{}, nil
	})
	e := sluicetest.New(t, flaky, charge, wait.NewSleep())
	began := time.Now()
	run := e.Run(e.Parse(`
name: slow
tasks:
  - {id: sleep, uses: sleep, with: {duration: 1d}}
  - {id: flaky, needs: [sleep], uses: flaky, retry: {max_attempts: 3, delay: 1h, backoff: fixed, jitter: 0}}
  - {id: gpu, needs: [flaky], uses: charge, with: {amount: 1}, queue: gpu, retry: {max_attempts: 3}}
`), nil)
	if run.Status != pipelines.Completed || len(seen) != 4 {
		t.Fatal(run, seen)
	}
	for i, delay := range []time.Duration{time.Hour, time.Hour, 30 * 24 * time.Hour} {
		if d := seen[i+1].Sub(seen[i]); d < delay || d > delay+10*time.Minute {
			t.Errorf("attempt %d began %s after the one before, expected %s", i+1, d, delay)
		}
	}
	late := e.Run(e.Parse("name: late\ntimeout: 1h\ntasks:\n  - {id: sleep, uses: sleep, with: {duration: 1d}}\n"), nil)
	if late.Status != pipelines.Failed || late.Task("sleep").Status != tasks.Abandoned {
		t.Error(late)
	}
	t.Logf("two runs took %s of real time", time.Since(began).Round(time.Millisecond))
}

// TestControlOfTheClock checks that nothing is due before the clock was advanced.
func TestControlOfTheClock(t *testing.T) {
	t.Parallel()
	e := sluicetest.New(t, wait.NewSleep())
	id := e.Start(e.Parse("name: p\ntasks:\n  - {id: nap, uses: sleep, with: {duration: 2h}}\n"), nil)
	e.Until(id, func(r sluicetest.Run) bool { return r.Task("nap").SubStatus == tasks.Deferred })
	e.Advance(time.Hour)
	if run := e.Get(id); run.Task("nap").SubStatus != tasks.Deferred {
		t.Error(run)
	}
	e.Advance(time.Hour)
	e.Until(id, func(r sluicetest.Run) bool { return r.Status == pipelines.Completed })
	paused := e.Start(e.Parse("name: q\ntasks:\n  - {id: nap, uses: sleep, with: {duration: 2h}}\n"), nil)
	e.Until(paused, func(r sluicetest.Run) bool { return r.Task("nap").SubStatus == tasks.Deferred })
	if err := e.Client().Pause(t.Context(), paused, ""); err != nil {
		t.Fatal(err)
	}
	e.Advance(3 * time.Hour)
	if err := e.Client().Resume(t.Context(), paused, ""); err != nil {
		t.Fatal(err)
	}
	if run := e.Wait(paused); run.Status != pipelines.Completed {
		t.Error(run)
	}
}
