package tasks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"
)

// Handler runs one kind of task, the one that `uses` names. It must be safe for concurrent use. Extensions register
// handlers with ProvideHandler.
type Handler interface {
	// Name returns the name of the handler, which is unique within the process.
	Name() string
	// Check validates a task's `with` when its definition is registered. Values that contain ${{ }} expressions are
	// passed as strings. The error should be a *FieldError or FieldErrors, which name each wrong key and what was
	// expected.
	Check(with map[string]any) error
	// Run executes one attempt. ctx ends when the attempt times out, its claim is lost, or its pipeline is cancelled.
	// The output is JSON or nil. Run may return NonRetryable, RetryAfter, DeferUntil, CannotStart, a *SkipError, or any
	// other error.
	Run(ctx context.Context, call *Attempt) (json.RawMessage, error)
}

// ConcurrencyLimited is a handler that limits how many of its tasks one process runs at once, for example because each
// task starts a program or opens a connection. Limit returns that number; 0 means no limit other than the number of
// slots. A Handler that does not implement ConcurrencyLimited has no limit either.
type ConcurrencyLimited interface {
	Limit() int
}

// WithLimit returns h with the limit that one process runs at most n of its tasks at once; 0 means no limit.
func WithLimit(h Handler, n int) Handler { return &limitedHandler{h, n} }

type limitedHandler struct {
	Handler
	limit int
}

func (h *limitedHandler) Limit() int { return h.limit }

// HandlerError is an error with a kind; see ErrorKind.
type HandlerError struct {
	Kind         ErrorKind
	Err          error
	Exit         *int // the exit code of the command that failed; nil if there is none
	NonRetryable bool // no further attempt is made, regardless of the retry policy
}

func (e *HandlerError) Error() string { return e.Err.Error() }
func (e *HandlerError) Unwrap() error { return e.Err }

// NonRetryable returns err with KindPermanent, so that no further attempt is made.
func NonRetryable(err error) error { return &HandlerError{Kind: KindPermanent, Err: err} }

// WithKind returns err with the given kind.
func WithKind(kind ErrorKind, err error) error { return &HandlerError{Kind: kind, Err: err} }

// NonRetryableKind returns err with the given kind, and marks it so that no further attempt is made.
func NonRetryableKind(kind ErrorKind, err error) error {
	return &HandlerError{Kind: kind, Err: err, NonRetryable: true}
}

// SkipError is the error with which a handler reports that there is nothing to do. The task becomes Skipped.
type SkipError struct {
	Exit int // the exit code of the command
}

func (e *SkipError) Error() string { return fmt.Sprintf("skipped by exit code %d", e.Exit) }

// RetryAfterError is an error with the minimum delay before the next attempt; see RetryAfter.
type RetryAfterError struct {
	Err  error
	Wait time.Duration
}

func (e *RetryAfterError) Error() string { return e.Err.Error() }
func (e *RetryAfterError) Unwrap() error { return e.Err }

// RetryAfter returns an error that fails the attempt with err and delays the next one, if there is one, by at least
// wait. The actual delay is the longer of wait and the delay of the retry policy. The kind of err is kept.
func RetryAfter(err error, wait time.Duration) error { return &RetryAfterError{Err: err, Wait: wait} }

// CannotStartError is an error of this process or its machine that occurred before a task began; see CannotStart.
type CannotStartError struct{ Err error }

func (e *CannotStartError) Error() string { return e.Err.Error() }
func (e *CannotStartError) Unwrap() error { return e.Err }

// CannotStart returns an error that releases the task, so that any worker can claim it at once. It uses up no attempt.
// It is for missing resources of this process, such as file descriptors, memory or disk space. A handler must not
// return it after the task had any effect. The worker stops claiming for a while, which grows with each consecutive
// error, and reports itself not ready during that time.
func CannotStart(err error) error { return &CannotStartError{err} }

// OutOfResources reports whether an error means that this process or its machine has run out of file descriptors,
// processes, memory or socket buffers. Running fewer tasks concurrently may help.
func OutOfResources(err error) bool {
	return slices.ContainsFunc(resources, func(e error) bool { return errors.Is(err, e) })
}

var resources = []error{syscall.EMFILE, syscall.ENFILE, syscall.EAGAIN, syscall.ENOMEM, syscall.ENOBUFS}

// SelfTester is a handler that can test, without a task, whether this process can start its tasks. After a
// CannotStartError, a worker calls SelfTest until it returns nil, and only then claims again.
type SelfTester interface {
	SelfTest(ctx context.Context) error
}

// FileUser is a handler whose tasks keep file descriptors of this process open. FilesPerTask returns the maximum for
// one task. A worker uses it to stay within its limit of open files.
type FileUser interface {
	FilesPerTask() int
}

// DeferError is the error with which a handler requests to be called again later; see DeferUntil.
type DeferError struct {
	Until  time.Time
	Reason string
}

func (e *DeferError) Error() string {
	return fmt.Sprintf("deferred until %s: %s", e.Until.UTC().Format(time.RFC3339), e.Reason)
}

// DeferUntil returns an error that frees the slot and makes the task due again at the given time. It uses up no
// attempt, and it is durable: a crash does not lose it. The next call of the handler starts from the beginning; only
// the history of the current call is kept.
func DeferUntil(until time.Time, reason string) error {
	return &DeferError{Until: until, Reason: reason}
}
