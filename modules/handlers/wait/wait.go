package wait

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/sluiceworks/sluice/modules/handlers/web"
	"github.com/sluiceworks/sluice/modules/tasks"
)

// Defaults of the handler "wait".
const (
	DefaultEvery   = 5 * time.Second  // between two polls
	DefaultTimeout = 10 * time.Second // of one request
)

// Wait ends its task when a file exists or a URL responds as expected. Create it with NewWait and close it after the
// last use.
type Wait struct {
	typed     tasks.Handler
	transport *http.Transport
}

// NewWait returns a Wait. Its connections use the proxy named by the environment (HTTP_PROXY, HTTPS_PROXY and
// NO_PROXY).
func NewWait() *Wait {
	w := &Wait{transport: &http.Transport{
		Proxy:                  web.Proxy,
		DialContext:            (&net.Dialer{Timeout: DefaultTimeout}).DialContext,
		TLSHandshakeTimeout:    DefaultTimeout,
		IdleConnTimeout:        time.Minute,
		MaxIdleConns:           64,
		MaxResponseHeaderBytes: 1 << 20,
		ForceAttemptHTTP2:      true,
	}}
	w.typed = tasks.NewHandler(w.Name(), w.run)
	return w
}

// Close closes the idle connections.
func (w *Wait) Close() { w.transport.CloseIdleConnections() }

// waitWith is the task's `with`. Exactly one of File and URL must be set.
type waitWith struct {
	File         string    `json:"file"`          // relative to the worker's working directory
	URL          *endpoint `json:"url"`           // polled with GET
	ExpectStatus statuses  `json:"expect_status"` // 200 to 299 if empty
	Timeout      *limit    `json:"timeout"`       // of one request; DefaultTimeout if missing
	Every        *interval `json:"every"`         // DefaultEvery if missing
	For          *limit    `json:"for"`           // bound on the whole wait; none if missing
}

// waited is the output.
type waited struct {
	WaitedMS int64 `json:"waited_ms"`        // since the task was first started
	Status   int   `json:"status,omitempty"` // of the URL's response
}

// Name returns "wait".
func (w *Wait) Name() string { return "wait" }

// Check validates everything in `with` that does not depend on an expression. Its error is tasks.FieldErrors.
func (w *Wait) Check(with map[string]any) error {
	wrong := []error{w.typed.Check(with)}
	if with["file"] != nil || with["url"] != nil || wrong[0] == nil { // otherwise one of the keys may be misspelt
		wrong = append(wrong, oneOf(with, "file", "url"))
	}
	for _, key := range []string{"expect_status", "timeout"} {
		if with[key] != nil && with["file"] != nil {
			wrong = append(wrong, &tasks.FieldError{Field: key, Msg: "is for a url"})
		}
	}
	return tasks.JoinFields(wrong...)
}

// Run polls once. It completes the task, defers it to the next poll, or fails it.
//
// The error is final and of KindTimeout when the time of `for` has elapsed, permanent for a `with` whose expressions
// have invalid values, of KindError if the file cannot be looked up, and wraps ctx.Err() if the context ended first.
func (w *Wait) Run(ctx context.Context, call *tasks.Attempt) (json.RawMessage, error) {
	return w.typed.Run(ctx, call)
}

func (w *Wait) run(ctx context.Context, in waitWith) (*waited, error) {
	switch {
	case (in.File == "") == (in.URL == nil):
		return nil, tasks.NonRetryable(errOneOf("file", "url"))
	case slices.Contains(in.ExpectStatus, 0):
		return nil, tasks.NonRetryable(&tasks.FieldError{Field: "expect_status", Msg: "an entry is null or 0"})
	}
	call, _ := tasks.AttemptFrom(ctx)
	found, err := w.poll(ctx, in, call.Now())
	if err != nil {
		return nil, err
	}
	begun, err := call.FirstStarted(ctx)
	if err != nil {
		return nil, fmt.Errorf("since when the task waits: %w", err)
	}
	now := call.Now()
	if found.holds {
		return &waited{WaitedMS: now.Sub(begun).Milliseconds(), Status: found.status}, nil
	}
	next := now.Add(max(in.every(), found.after))
	if in.For != nil {
		most := time.Duration(*in.For)
		end := begun.Add(most)
		if !now.Before(end) {
			return nil, tasks.NonRetryableKind(tasks.KindTimeout,
				fmt.Errorf("waited %s in vain: %s", most, found.reason))
		}
		if next.After(end) {
			next = end // the last poll is at the end of the time
		}
	}
	return nil, tasks.DeferUntil(next, found.reason)
}

func (in *waitWith) every() time.Duration {
	if in.Every == nil {
		return DefaultEvery
	}
	return time.Duration(*in.Every)
}

func (in *waitWith) timeout() time.Duration {
	if in.Timeout == nil {
		return DefaultTimeout
	}
	return time.Duration(*in.Timeout)
}
