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

// Defaults of a task that waits.
const (
	DefaultEvery   = 5 * time.Second  // between two looks
	DefaultTimeout = 10 * time.Second // of one request
)

// Wait ends its task when a file is there or a URL answers as expected. Make it by NewWait and close it when it is no longer used.
type Wait struct {
	typed     tasks.Handler
	transport *http.Transport
}

// NewWait makes the handler. Its connections go through the proxy that the environment names (HTTP_PROXY and its like).
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

// Close closes the connections that no request is using.
func (w *Wait) Close() { w.transport.CloseIdleConnections() }

// waitWith is what a task hands over: a file or a URL, and how to go about it.
type waitWith struct {
	File         string    `json:"file"`          // from the directory where the worker was started
	URL          *endpoint `json:"url"`           // asked by GET
	ExpectStatus statuses  `json:"expect_status"` // 200 to 299 if empty
	Timeout      *limit    `json:"timeout"`       // of one request; DefaultTimeout if missing
	Every        *interval `json:"every"`         // DefaultEvery if missing
	For          *limit    `json:"for"`           // how long at most; without end if missing
}

// waited is the output.
type waited struct {
	WaitedMS int64 `json:"waited_ms"`        // since the task was first started
	Status   int   `json:"status,omitempty"` // that the URL answered with
}

// Name is "wait".
func (w *Wait) Name() string { return "wait" }

// Check looks at everything in `with` that does not depend on an expression. Its error is tasks.FieldErrors.
func (w *Wait) Check(with map[string]any) error {
	wrong := []error{w.typed.Check(with)}
	if with["file"] != nil || with["url"] != nil || wrong[0] == nil { // else one of them may be misspelt
		wrong = append(wrong, oneOf(with, "file", "url"))
	}
	for _, key := range []string{"expect_status", "timeout"} {
		if with[key] != nil && with["file"] != nil {
			wrong = append(wrong, &tasks.FieldError{Field: key, Msg: "is for a url"})
		}
	}
	return tasks.JoinFields(wrong...)
}

// Run looks once: it ends the task, defers it to the next look, or fails it.
//
// The error is final and of KindTimeout when the time of `for` is up; permanent for a `with` whose expressions turned out wrong; of
// KindError if a file can't be looked for; and wraps ctx.Err() if the context ended first.
func (w *Wait) Run(ctx context.Context, call *tasks.Call) (json.RawMessage, error) {
	return w.typed.Run(ctx, call)
}

func (w *Wait) run(ctx context.Context, in waitWith) (*waited, error) {
	switch {
	case (in.File == "") == (in.URL == nil):
		return nil, tasks.Permanent(errOneOf("file", "url"))
	case slices.Contains(in.ExpectStatus, 0):
		return nil, tasks.Permanent(&tasks.FieldError{Field: "expect_status", Msg: "an entry is null or 0"})
	}
	call, _ := tasks.CallFrom(ctx)
	found, err := w.look(ctx, in, call.Now())
	if err != nil {
		return nil, err
	}
	begun, err := call.Begun(ctx)
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
			return nil, tasks.Final(tasks.KindTimeout, fmt.Errorf("waited %s in vain: %s", most, found.reason))
		}
		if next.After(end) {
			next = end // the last look is when the time is up
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
