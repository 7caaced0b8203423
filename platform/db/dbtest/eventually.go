package dbtest

import (
	"testing"
	"time"
)

// Eventually waits at most a minute until a condition holds of which there is no notification. Between two checks it
// pauses for twice as long as the last check took, at least 10 ms and at most 1 s, so that the awaited work gets the
// machine.
func Eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	for {
		began := time.Now()
		if holds() {
			return
		}
		pause := time.NewTimer(min(max(10*time.Millisecond, 2*time.Since(began)), time.Second))
		select {
		case <-pause.C:
		case <-deadline.C:
			pause.Stop()
			t.Fatalf("waited in vain: %s", what)
		}
	}
}
