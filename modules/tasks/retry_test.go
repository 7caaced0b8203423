package tasks_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sluiceworks/sluice/modules/tasks"
)

func TestDelayAfter(t *testing.T) {
	t.Parallel()
	const century = 100 * 365 * 24 * time.Hour
	cases := []struct {
		name string
		p    tasks.RetryPolicy
		want map[int]time.Duration // by failures
	}{
		{
			"fixed",
			tasks.RetryPolicy{Backoff: tasks.Fixed, Delay: 3 * time.Second},
			map[int]time.Duration{1: 3 * time.Second, 2: 3 * time.Second, 1000: 3 * time.Second},
		},
		{
			"linear",
			tasks.RetryPolicy{Backoff: tasks.Linear, Delay: 3 * time.Second},
			map[int]time.Duration{1: 3 * time.Second, 2: 6 * time.Second, 10: 30 * time.Second},
		},
		{
			"exponential",
			tasks.RetryPolicy{Backoff: tasks.Exponential, Delay: 3 * time.Second},
			map[int]time.Duration{1: 3 * time.Second, 2: 6 * time.Second, 3: 12 * time.Second, 11: 3072 * time.Second},
		},
		{
			"linear, capped",
			tasks.RetryPolicy{Backoff: tasks.Linear, Delay: 3 * time.Second, MaxDelay: 7 * time.Second},
			map[int]time.Duration{1: 3 * time.Second, 2: 6 * time.Second, 3: 7 * time.Second, 1000: 7 * time.Second},
		},
		{"exponential, capped", tasks.RetryPolicy{
			Backoff: tasks.Exponential, Delay: time.Second,
			MaxDelay: time.Minute,
		}, map[int]time.Duration{6: 32 * time.Second, 7: time.Minute, 1 << 40: time.Minute}},
		{
			"fixed, capped",
			tasks.RetryPolicy{Backoff: tasks.Fixed, Delay: time.Minute, MaxDelay: time.Second},
			map[int]time.Duration{1: time.Second},
		},
		{"no delay", tasks.RetryPolicy{Backoff: tasks.Exponential}, map[int]time.Duration{1: 0, 64: 0, 1000: 0}},
		{
			"without a cap, a century",
			tasks.RetryPolicy{Backoff: tasks.Exponential, Delay: time.Hour},
			map[int]time.Duration{64: century, 1000: century, 1 << 62: century},
		},
		{
			"linear without a cap",
			tasks.RetryPolicy{Backoff: tasks.Linear, Delay: time.Hour},
			map[int]time.Duration{1 << 62: century},
		},
	}
	for _, c := range cases {
		for failures, want := range c.want {
			if got := c.p.DelayAfter(failures, 0.5); got != want {
				t.Errorf("%s, after %d failures: %s, expected %s", c.name, failures, got, want)
			}
		}
	}
}

// TestDelayIsBounded: for any policy that a definition may hold, a delay is never negative, is within the jitter of its
// cap, and, without jitter, never shrinks with the number of failures.
func TestDelayIsBounded(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := tasks.RetryPolicy{
			Backoff: rapid.SampledFrom(tasks.Backoffs()).
				Draw(t, "backoff"), Delay: time.Duration(rapid.Int64Min(0).Draw(t, "delay")),
			MaxDelay: time.Duration(rapid.Int64Min(0).Draw(t, "max_delay")), Jitter: rapid.Float64Range(0, 1).
					Draw(t, "jitter"),
		}
		failures := rapid.IntMin(1).Draw(t, "failures")
		random := rapid.Float64Range(0, 0.9999999).Draw(t, "random")
		exact := p
		exact.Jitter = 0
		middle, got := float64(exact.DelayAfter(failures, random)), float64(p.DelayAfter(failures, random))
		// A nanosecond and a millionth for what floating point and the cut to nanoseconds lose.
		slack := 1 + middle/1e6
		if got < 0 || got < middle*(1-p.Jitter)-slack || got > middle*(1+p.Jitter)+slack {
			t.Fatalf("%+v after %d failures: %s is not within the jitter of %s", p, failures, time.Duration(got),
				time.Duration(middle))
		}
		if p.MaxDelay > 0 && middle > float64(p.MaxDelay)+slack {
			t.Fatalf("%+v after %d failures: %s is longer than the cap", p, failures, time.Duration(middle))
		}
		if failures > 1 && float64(exact.DelayAfter(failures-1, random)) > middle+slack {
			t.Fatalf("%+v: the delay after %d failures is longer than after %d", p, failures-1, failures)
		}
	})
}

// TestJitterSpreads: the whole range is used, and nothing beyond it.
func TestJitterSpreads(t *testing.T) {
	t.Parallel()
	p := tasks.RetryPolicy{Backoff: tasks.Fixed, Delay: 10 * time.Second, Jitter: 0.2}
	for random, want := range map[float64]time.Duration{
		0: 8 * time.Second, 0.25: 9 * time.Second,
		0.5: 10 * time.Second, 0.75: 11 * time.Second,
	} {
		if got := p.DelayAfter(1, random); got != want {
			t.Errorf("random %v: %s, expected %s", random, got, want)
		}
	}
	p.Jitter = 1
	if got := p.DelayAfter(1, 0); got != 0 {
		t.Errorf("with full jitter the shortest delay is %s, expected 0", got)
	}
}

func TestRetryable(t *testing.T) {
	t.Parallel()
	plain, picky := tasks.RetryPolicy{},
		tasks.RetryPolicy{PermanentErrors: []tasks.ErrorKind{tasks.KindExit, tasks.KindTimeout}}
	for _, kind := range tasks.ErrorKinds() {
		never := kind == tasks.KindPermanent || kind == tasks.KindInvalidOutput
		if plain.Retryable(kind) == never {
			t.Errorf("%s: retryable is %t", kind, !never)
		}
		if want := !never && !slices.Contains(picky.PermanentErrors, kind); picky.Retryable(kind) != want {
			t.Errorf("%s, with %v permanent: retryable is %t", kind, picky.PermanentErrors, !want)
		}
	}
}

// TestAttemptsLeft: the first run counts, an attempt lost with its worker does not.
func TestAttemptsLeft(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		attempt, recoveries, most int
		want                      bool
	}{
		{1, 0, 1, false},
		{1, 0, 2, true},
		{2, 0, 2, false},
		{2, 1, 2, true},
		{3, 1, 2, false},
		{4, 3, 1, false},
		{4, 3, 2, true},
	} {
		task := tasks.Task{Attempt: c.attempt, Recoveries: c.recoveries, MaxAttempts: c.most}
		if got := task.AttemptsLeft(); got != c.want {
			t.Errorf("attempt %d, %d lost, of %d: %t", c.attempt, c.recoveries, c.most, got)
		}
	}
}

// TestDefaultPolicy is one attempt, and valid.
func TestDefaultPolicy(t *testing.T) {
	t.Parallel()
	p := tasks.DefaultRetryPolicy()
	if p.MaxAttempts != 1 || !slices.Contains(tasks.Backoffs(), p.Backoff) || p.Delay <= 0 || p.MaxDelay < p.Delay ||
		p.Jitter < 0 || p.Jitter > 1 {
		t.Errorf("default policy %+v", p)
	}
}
