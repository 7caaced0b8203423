// Package http makes one request per attempt and hands on its answer, as the task's output or as a file. It keeps no session, no
// cookies and no credentials, and retries nothing: that is for the task's retry policy, to which its errors say what is worth it.
package http

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	nethttp "net/http"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluiceworks/sluice/modules/handlers/web"
	"github.com/sluiceworks/sluice/modules/tasks"
)

// Limits on one request.
const (
	DefaultLimit    = 256       // requests of one process at once, unless it is told otherwise: each holds a connection
	DefaultMaxSaved = 100 << 20 // bytes of a body that is saved to a file, unless max_bytes says otherwise

	errorStart = 1 << 10 // bytes of an unexpected answer that stand in the error
	userAgent  = "sluice"
)

// Handler makes requests, over one pool of connections. Make it by New and close it when it is no longer used.
type Handler struct {
	// Guarded reports whether save_as must not write a file, of which it is given the absolute path without links. nil guards
	// none. It is set before the first task.
	Guarded func(path string) bool

	typed     tasks.Handler
	transport *nethttp.Transport
}

// New makes the handler. Its connections go through the proxy that the environment names (HTTP_PROXY and its like).
func New() *Handler {
	h := &Handler{transport: &nethttp.Transport{
		Proxy:                  web.Proxy,
		DialContext:            (&net.Dialer{Timeout: 15 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:    15 * time.Second,
		ExpectContinueTimeout:  time.Second,
		IdleConnTimeout:        90 * time.Second,
		MaxIdleConns:           128,
		MaxIdleConnsPerHost:    16,
		MaxResponseHeaderBytes: 1 << 20,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true, // what is asked for and decoded is seen to by package web
	}}
	h.typed = tasks.NewHandler(h.Name(), h.run)
	return h
}

// Close closes the connections that no request is using.
func (h *Handler) Close() { h.transport.CloseIdleConnections() }

// Name is "http".
func (h *Handler) Name() string { return "http" }

// Limit is DefaultLimit.
func (h *Handler) Limit() int { return DefaultLimit }

// FilesPerTask counts a connection, a file that is saved and its directory.
func (h *Handler) FilesPerTask() int { return 3 }

// SelfTest opens a socket.
func (h *Handler) SelfTest(context.Context) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return fmt.Errorf("open a socket: %w", err)
	}
	return unix.Close(fd)
}

// Check looks at everything in `with` that does not depend on an expression. Its error is tasks.FieldErrors.
func (h *Handler) Check(fields map[string]any) error {
	return tasks.JoinFields(h.typed.Check(fields), checkSettled(fields))
}

// Run makes the request. The output is documented at answer.
//
// The error is of KindHTTP for a status that was not expected, and permanent for one of 400 to 499 besides 408, 425 and 429, which
// pass; of KindInvalidOutput for a body that is too large; of KindTimeout if the request's own time is up; permanent for a request
// that can never be made; of KindError if the connection failed; and wraps ctx.Err() if the context ended first.
func (h *Handler) Run(ctx context.Context, call *tasks.Call) (json.RawMessage, error) {
	return h.typed.Run(ctx, call)
}

func (h *Handler) run(ctx context.Context, in with) (*answer, error) {
	plan, err := in.plan()
	if err != nil {
		return nil, tasks.Permanent(err)
	}
	file, err := newFile(ctx, in.SaveAs, h.Guarded)
	if err != nil {
		return nil, err
	}
	defer file.discard()
	limited, cancel := plan.context(ctx)
	defer cancel()
	out, err := h.exchange(limited, plan, file)
	switch {
	case err == nil:
		return out, nil
	case ctx.Err() != nil:
		return nil, fmt.Errorf("request ended: %w", ctx.Err())
	case limited.Err() != nil:
		return nil, tasks.WithKind(tasks.KindTimeout, fmt.Errorf("%s: no complete answer within %s", plan, plan.timeout))
	}
	return nil, err
}

// exchange sends the request and takes the answer in. file is nil if the body is part of the output.
func (h *Handler) exchange(ctx context.Context, plan *plan, file *file) (*answer, error) {
	resp, err := web.Do(ctx, h.transport, plan.request())
	var machine *tasks.CannotStartError
	switch {
	case errors.As(err, &machine):
		return nil, err
	case errors.As(err, new(*tasks.KindedError)):
		return nil, err // it has no proxy
	case errors.Is(err, web.ErrBodyElsewhere):
		return nil, tasks.Permanent(fmt.Errorf("%w: name that URL, if it is to have the body", err))
	case err != nil:
		return nil, tasks.WithKind(tasks.KindError, err)
	}
	defer func() { _ = resp.Body.Close() }() // the connection is then used again, or not: nothing to tell
	if !plan.expects(resp.StatusCode) {
		return nil, later(ctx, resp, unexpected(plan, resp))
	}
	decoded, err := web.Decoded(resp)
	if err != nil {
		return nil, tasks.WithKind(tasks.KindHTTP, fmt.Errorf("%s: %w", plan, err))
	}
	if decoded == resp.Body && plan.method != nethttp.MethodHead && resp.ContentLength > plan.maxBytes {
		return nil, bodyError(errTooLarge, plan.maxBytes)
	}
	body := &limitedBody{r: decoded, limit: plan.maxBytes}
	if file != nil {
		return saved(resp, body, file)
	}
	return read(resp, body)
}

func unexpected(plan *plan, resp *nethttp.Response) error {
	// A body that breaks off still explains the status better than nothing.
	var start []byte
	if body, err := web.Decoded(resp); err == nil {
		start, _ = io.ReadAll(io.LimitReader(body, errorStart))
	}
	err := fmt.Errorf("%s: answered %s", plan, tasks.CleanText(resp.Status, errorStart))
	if text := tasks.CleanText(string(start), errorStart); text != "" {
		err = fmt.Errorf("%w: %s", err, text)
	}
	if passes(resp.StatusCode) {
		return tasks.WithKind(tasks.KindHTTP, err)
	}
	return tasks.Permanent(err)
}

// later adds to an error when the server wants to be asked again, if it says so.
func later(ctx context.Context, resp *nethttp.Response, err error) error {
	call, _ := tasks.CallFrom(ctx)
	now := time.Time{}
	if call.Now != nil {
		now = call.Now()
	}
	if wait := web.RetryAfter(resp, now); wait > 0 {
		return tasks.RetryAfter(err, wait)
	}
	return err
}

// passes tells whether the same request may be answered otherwise later.
func passes(status int) bool {
	switch status {
	case nethttp.StatusRequestTimeout, nethttp.StatusTooEarly, nethttp.StatusTooManyRequests:
		return true
	}
	return status < 400 || status > 499
}
