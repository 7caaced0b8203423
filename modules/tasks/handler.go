package tasks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"syscall"
	"time"

	"github.com/sluiceworks/sluice/platform/db"
)

// Handler runs one kind of task: what a task's `uses` names. It is safe for concurrent use.
// Extensions provide handlers through ProvideHandler.
type Handler interface {
	// Name is unique in a process.
	Name() string
	// Check looks at a task's `with` when its definition is registered. Values that are still ${{ }} expressions arrive
	// as strings. The error names each key that is wrong and what was expected: *FieldError or FieldErrors where keys
	// can be named.
	Check(with map[string]any) error
	// Run does the work of one attempt. ctx ends when the attempt's time is up, its claim is lost, or its pipeline is
	// cancelled. The output is JSON or nil. The error may be Permanent or Defer, or any other.
	Run(ctx context.Context, call *Attempt) (json.RawMessage, error)
}

// ConcurrencyLimited is a handler of whose tasks one process runs no more than so many at once, however many slots it
// has: because each is a program, or a connection. A Handler that is none, and a limit of 0, is bounded by the slots
// alone.
type ConcurrencyLimited interface {
	Limit() int
}

// WithLimit gives a handler a limit of tasks that one process runs at once; 0: none.
func WithLimit(h Handler, n int) Handler { return &limitedHandler{h, n} }

type limitedHandler struct {
	Handler
	limit int
}

func (h *limitedHandler) Limit() int { return h.limit }

// Attempt is one attempt of one task, as its handler sees it.
type Attempt struct {
	PipelineExecutionID db.ID
	TaskExecutionID     db.ID
	PipelineName        string
	TaskName            string
	Number              int
	Resumed             bool // the attempt goes on after a deferral, whose time has come
	Worker              string
	With                json.RawMessage   // the task's `with`, its expressions evaluated; an object
	Env                 map[string]string // the task's `env` and, for a command, its expressions' values
	Input               json.RawMessage   // the run's input; an object
	// outputs of the dependencies that this task may use; null where there is none
	Needs          map[string]json.RawMessage
	Stdout, Stderr io.Writer // kept per attempt, up to a limit; safe for concurrent use
	Exit           *int      // set by a handler that ran a command which succeeded: its exit code
	// RunDir is the run's directory on this machine, an absolute path; empty: the process keeps none. It need not exist
	// before MakeRunDir, which makes it for this process's user alone, and changes nothing if it is there.
	RunDir     string
	MakeRunDir func() error
	// Annotate writes an annotation into the history at once.
	Annotate func(ctx context.Context, data any) error
	// Now reads the database's clock, by which deferrals fall due. A handler that compares with this machine's instead
	// is called again and again until the two agree.
	Now func() time.Time
	// Begun is when the handler was first started for what it does now, by the database's clock, as the history has it:
	// a failed attempt and an operator's retry begin this time anew; a deferral, and a worker that was lost or stopped,
	// do not. It is what a handler that defers itself measures its waiting by, for each call starts from the beginning.
	FirstStarted func(ctx context.Context) (time.Time, error)
}

// HandlerError is an error that knows its kind; see ErrorKind.
type HandlerError struct {
	Kind         ErrorKind
	Err          error
	Exit         *int // the exit code of the command that failed, if there is one
	NonRetryable bool // no further attempt can mend it, whatever the retry policy says of its kind
}

func (e *HandlerError) Error() string { return e.Err.Error() }
func (e *HandlerError) Unwrap() error { return e.Err }

// NonRetryable marks an error as one that no further attempt can mend.
func NonRetryable(err error) error { return &HandlerError{Kind: KindPermanent, Err: err} }

// WithKind gives an error its kind.
func WithKind(kind ErrorKind, err error) error { return &HandlerError{Kind: kind, Err: err} }

// NonRetryableKind gives an error its kind, and marks it as one that no further attempt can mend.
func NonRetryableKind(kind ErrorKind, err error) error {
	return &HandlerError{Kind: kind, Err: err, NonRetryable: true}
}

// SkipError is how a handler says that there is nothing to do: the task becomes Skipped.
type SkipError struct {
	Exit int // the exit code of the command that said so
}

func (e *SkipError) Error() string { return fmt.Sprintf("skipped by exit code %d", e.Exit) }

// RetryAfterError is an error with the least time until the next attempt.
type RetryAfterError struct {
	Err  error
	Wait time.Duration
}

func (e *RetryAfterError) Error() string { return e.Err.Error() }
func (e *RetryAfterError) Unwrap() error { return e.Err }

// RetryAfter returned by a handler fails the attempt with err, and the next attempt, if the retry policy has one,
// begins no earlier than wait from now on: the later of that and the policy's delay counts. The kind of err, if it has
// one, counts as without it.
func RetryAfter(err error, wait time.Duration) error { return &RetryAfterError{Err: err, Wait: wait} }

// CannotStartError is an error of this process or its machine that came up before a task's work had begun.
type CannotStartError struct{ Err error }

func (e *CannotStartError) Error() string { return e.Err.Error() }
func (e *CannotStartError) Unwrap() error { return e.Err }

// CannotStart returned by a handler gives the task back, so that any worker may claim it at once: no attempt is used
// up. It is for what this process lacks, such as file descriptors, memory or space on the disk, and only as long as
// nothing that the task asked for has happened. The worker claims nothing for a while, longer with each such error in a
// row, and reports itself not ready meanwhile.
func CannotStart(err error) error { return &CannotStartError{err} }

// OutOfResources reports whether an error says that this process or its machine has run out of file descriptors,
// processes, memory or socket buffers. Running fewer tasks concurrently may help.
func OutOfResources(err error) bool {
	return slices.ContainsFunc(resources, func(e error) bool { return errors.Is(err, e) })
}

var resources = []error{syscall.EMFILE, syscall.ENFILE, syscall.EAGAIN, syscall.ENOMEM, syscall.ENOBUFS}

// SelfTester is a handler that can try, without a task, whether this process is able to begin its tasks. A worker asks
// it after a CannotStartError, and claims again when it returns nil.
type SelfTester interface {
	SelfTest(ctx context.Context) error
}

// FileUser is a handler whose tasks each keep up to a number of file descriptors of this process open. A worker runs no
// more of them at once than its limit of open files allows.
type FileUser interface {
	FilesPerTask() int
}

// DeferError is how a handler asks to be called again later.
type DeferError struct {
	Until  time.Time
	Reason string
}

func (e *DeferError) Error() string {
	return fmt.Sprintf("deferred until %s: %s", e.Until.UTC().Format(time.RFC3339), e.Reason)
}

// DeferUntil returned by a handler frees its slot and has the task claimed again at the given time. It uses up no
// attempt and survives any crash. The run so far leaves nothing but its history: the next call starts the handler from
// the beginning.
func DeferUntil(until time.Time, reason string) error {
	return &DeferError{Until: until, Reason: reason}
}
