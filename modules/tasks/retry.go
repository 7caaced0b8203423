package tasks

import (
	"database/sql/driver"
	"math"
	"slices"
	"time"

	"github.com/sluiceworks/sluice/platform/db"
)

// Backoff says how the delay grows from one failed attempt to the next.
type Backoff string

// Fixed waits Delay each time, Linear Delay × failures, Exponential Delay × 2^(failures−1).
const (
	Fixed       Backoff = "fixed"
	Linear      Backoff = "linear"
	Exponential Backoff = "exponential"
)

// Backoffs lists every backoff.
func Backoffs() []Backoff { return []Backoff{Fixed, Linear, Exponential} }

// ErrorKind classes the error of a failed attempt; it is what a retry policy may call permanent.
type ErrorKind string

// The kinds of error. Permanent and InvalidOutput are never retried.
const (
	KindError         ErrorKind = "error"          // the handler returned an error
	KindExit          ErrorKind = "exit"           // a command ended with a status other than 0
	KindHTTP          ErrorKind = "http"           // a request was answered with an unexpected status
	KindTimeout       ErrorKind = "timeout"        // the attempt ran out of its time
	KindPanic         ErrorKind = "panic"          // the handler panicked
	KindExpression    ErrorKind = "expression"     // a ${{ }} or an if could not be evaluated
	KindInvalidOutput ErrorKind = "invalid_output" // the output is too large, no JSON, or not to be stored
	KindPermanent     ErrorKind = "permanent"      // the handler said that trying again is of no use
)

// Value is NULL for none.
func (k ErrorKind) Value() (driver.Value, error) { return db.Text(k).Value() }

// Scan reads NULL as none.
func (k *ErrorKind) Scan(src any) error { return (*db.Text)(k).Scan(src) }

// MarshalJSON writes null for none.
func (k ErrorKind) MarshalJSON() ([]byte, error) { return db.Text(k).MarshalJSON() }

// ErrorKinds lists every kind.
func ErrorKinds() []ErrorKind {
	return []ErrorKind{KindError, KindExit, KindHTTP, KindTimeout, KindPanic, KindExpression, KindInvalidOutput, KindPermanent}
}

// RetryPolicy says whether and when a failed attempt is followed by another. It is a pure value, pinned with the
// definition.
type RetryPolicy struct {
	MaxAttempts     int           `json:"max_attempts"` // at least 1; counts the first run
	Backoff         Backoff       `json:"backoff"`
	Delay           time.Duration `json:"delay"`                      // nanoseconds in JSON
	MaxDelay        time.Duration `json:"max_delay"`                  // cap before jitter; 0: none
	Jitter          float64       `json:"jitter"`                     // 0 to 1: the delay varies by ± this share of itself
	PermanentErrors []ErrorKind   `json:"permanent_errors,omitempty"` // kinds not to be retried, besides those that never are
}

// DefaultRetryPolicy is that of a task that says nothing: one attempt.
func DefaultRetryPolicy() RetryPolicy {
	return RetryPolicy{MaxAttempts: 1, Backoff: Exponential, Delay: time.Second, MaxDelay: time.Hour, Jitter: 0.2}
}

// Retryable reports whether an error of this kind may be followed by another attempt.
func (p RetryPolicy) Retryable(kind ErrorKind) bool {
	return kind != KindPermanent && kind != KindInvalidOutput && !slices.Contains(p.PermanentErrors, kind)
}

// LongestDelay bounds every delay: it leaves a time that both databases can keep.
const LongestDelay = 100 * 365 * 24 * time.Hour

// DelayAfter gives the wait after the given number of failed attempts (at least 1). random is in [0,1) and spreads the
// jitter.
func (p RetryPolicy) DelayAfter(failures int, random float64) time.Duration {
	d := float64(p.Delay)
	switch p.Backoff {
	case Linear:
		d *= float64(failures)
	case Exponential:
		d = math.Ldexp(d, min(failures-1, 1000)) // d × 2^(failures−1); far beyond the longest either way
	}
	if p.MaxDelay > 0 {
		d = min(d, float64(p.MaxDelay))
	}
	d = min(d, float64(LongestDelay))
	return time.Duration(d * (1 + p.Jitter*(2*random-1)))
}
