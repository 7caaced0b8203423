package tasks

import (
	"database/sql/driver"
	"math"
	"slices"
	"time"

	"github.com/sluiceworks/sluice/platform/dbtype"
)

// Backoff determines how the delay grows with the number of failed attempts.
type Backoff string

// The delay before the next attempt is Delay for Fixed, Delay × failures for Linear, and Delay × 2^(failures−1) for
// Exponential.
const (
	Fixed       Backoff = "fixed"
	Linear      Backoff = "linear"
	Exponential Backoff = "exponential"
)

// Backoffs returns all backoffs.
func Backoffs() []Backoff { return []Backoff{Fixed, Linear, Exponential} }

// ErrorKind classifies the error of a failed attempt. A retry policy may exclude kinds from being retried.
type ErrorKind string

// The kinds of error. KindPermanent and KindInvalidOutput are never retried.
const (
	KindError         ErrorKind = "error"          // the handler returned an error
	KindExit          ErrorKind = "exit"           // a command ended with an exit code other than 0
	KindHTTP          ErrorKind = "http"           // an HTTP response had an unexpected status
	KindTimeout       ErrorKind = "timeout"        // the attempt timed out
	KindPanic         ErrorKind = "panic"          // the handler panicked
	KindExpression    ErrorKind = "expression"     // an expression or a condition could not be evaluated
	KindInvalidOutput ErrorKind = "invalid_output" // the output is too large, is not JSON, or cannot be stored
	KindPermanent     ErrorKind = "permanent"      // the handler returned NonRetryable
)

// Value returns NULL for an empty kind.
func (k ErrorKind) Value() (driver.Value, error) { return dbtype.Text(k).Value() }

// Scan reads NULL as an empty kind.
func (k *ErrorKind) Scan(src any) error { return (*dbtype.Text)(k).Scan(src) }

// MarshalJSON returns null for an empty kind.
func (k ErrorKind) MarshalJSON() ([]byte, error) { return dbtype.Text(k).MarshalJSON() }

// ErrorKinds returns all kinds.
func ErrorKinds() []ErrorKind {
	return []ErrorKind{
		KindError, KindExit, KindHTTP, KindTimeout, KindPanic, KindExpression, KindInvalidOutput,
		KindPermanent,
	}
}

// RetryPolicy determines whether and when another attempt follows a failed one. It is part of the definition, so it
// does not change during a run.
type RetryPolicy struct {
	MaxAttempts     int           `json:"max_attempts"` // at least 1; includes the first attempt
	Backoff         Backoff       `json:"backoff"`
	Delay           time.Duration `json:"delay"`                      // nanoseconds in JSON
	MaxDelay        time.Duration `json:"max_delay"`                  // maximum before jitter; 0: none
	Jitter          float64       `json:"jitter"`                     // 0 to 1: the delay varies by ± this fraction
	PermanentErrors []ErrorKind   `json:"permanent_errors,omitempty"` // further kinds that are not retried
}

// DefaultRetryPolicy returns the policy of a task that specifies none: one attempt.
func DefaultRetryPolicy() RetryPolicy {
	return RetryPolicy{MaxAttempts: 1, Backoff: Exponential, Delay: time.Second, MaxDelay: time.Hour, Jitter: 0.2}
}

// Retryable reports whether another attempt may follow an error of the given kind.
func (p RetryPolicy) Retryable(kind ErrorKind) bool {
	return kind != KindPermanent && kind != KindInvalidOutput && !slices.Contains(p.PermanentErrors, kind)
}

// LongestDelay is the maximum delay before jitter. It ensures that both databases can represent the resulting time.
const LongestDelay = 100 * 365 * 24 * time.Hour

// DelayAfter returns the delay after the given number of failed attempts, which is at least 1. random is in [0,1) and
// determines the jitter.
func (p RetryPolicy) DelayAfter(failures int, random float64) time.Duration {
	d := float64(p.Delay)
	switch p.Backoff {
	case Linear:
		d *= float64(failures)
	case Exponential:
		d = math.Ldexp(d, min(failures-1, 1000)) // d × 2^(failures−1); the exponent is capped well above LongestDelay
	}
	if p.MaxDelay > 0 {
		d = min(d, float64(p.MaxDelay))
	}
	d = min(d, float64(LongestDelay))
	return time.Duration(d * (1 + p.Jitter*(2*random-1)))
}
