// Package http implements the handler "http", which makes one request per attempt and stores the response as the
// task's output or in a file. It keeps no session, cookies or credentials. It does not retry: the task's retry policy
// does, by the kind of the error.
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
	DefaultLimit    = 256       // concurrent requests per process, unless configured; each holds a connection
	DefaultMaxSaved = 100 << 20 // maximum size in bytes of a body with save_as, unless max_bytes is set

	errorStart = 1 << 10 // bytes of an unexpected response that the error quotes
	userAgent  = "sluice"
)

// Handler makes HTTP requests over one connection pool. Create it with New and close it after the last use.
type Handler struct {
	// Guarded reports whether save_as must not write a file. It is called with the file's absolute path as named and
	// with the path's symbolic links resolved. A nil Guarded guards nothing. Set it before the first task.
	Guarded func(path string) bool

	typed     tasks.Handler
	transport *nethttp.Transport
}

// New returns a Handler. Its connections use the proxy named by the environment (HTTP_PROXY, HTTPS_PROXY and
// NO_PROXY).
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
		DisableCompression:     true, // package web requests and decodes the compression
	}}
	h.typed = tasks.NewHandler(h.Name(), h.run)
	return h
}

// Close closes the idle connections.
func (h *Handler) Close() { h.transport.CloseIdleConnections() }

// Name returns "http".
func (h *Handler) Name() string { return "http" }

// Limit returns DefaultLimit.
func (h *Handler) Limit() int { return DefaultLimit }

// FilesPerTask returns 3: a connection, the saved file and its directory.
func (h *Handler) FilesPerTask() int { return 3 }

// SelfTest opens and closes a socket.
func (h *Handler) SelfTest(context.Context) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return fmt.Errorf("open a socket: %w", err)
	}
	return unix.Close(fd)
}

// Check validates everything in `with` that does not depend on an expression. Its error is tasks.FieldErrors.
func (h *Handler) Check(fields map[string]any) error {
	return tasks.JoinFields(h.typed.Check(fields), checkSettled(fields))
}

// Run makes the request. The output is an answer.
//
// The error is of KindHTTP for an unexpected status, but permanent for a status of 400 to 499 except 408, 425 and
// 429, which are transient. It is of KindInvalidOutput if the body is too large, of KindTimeout if the request's own
// timeout expired, permanent if the request can never be made, a CannotStartError if this machine lacked a resource
// before the request, of KindError if the connection failed, and wraps ctx.Err() if the context ended first.
func (h *Handler) Run(ctx context.Context, call *tasks.Attempt) (json.RawMessage, error) {
	return h.typed.Run(ctx, call)
}

func (h *Handler) run(ctx context.Context, in with) (*response, error) {
	plan, err := in.plan()
	if err != nil {
		return nil, tasks.NonRetryable(err)
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
		return nil, tasks.WithKind(tasks.KindTimeout,
			fmt.Errorf("%s: no complete answer within %s", plan, plan.timeout))
	}
	return nil, err
}

// exchange sends the request and reads the response. A nil file makes the body part of the output.
func (h *Handler) exchange(ctx context.Context, plan *plan, file *file) (*response, error) {
	resp, err := web.Do(ctx, h.transport, plan.request())
	var machine *tasks.CannotStartError
	switch {
	case errors.As(err, &machine):
		return nil, err
	case errors.As(err, new(*tasks.HandlerError)):
		return nil, err // the proxy's configuration is invalid
	case errors.Is(err, web.ErrBodyElsewhere):
		return nil, tasks.NonRetryable(fmt.Errorf("%w: name that URL, if it is to have the body", err))
	case err != nil:
		return nil, tasks.WithKind(tasks.KindError, err)
	}
	defer func() { _ = resp.Body.Close() }() // an error only prevents reuse of the connection
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
	// A truncated body still helps to explain the status.
	var start []byte
	if body, err := web.Decoded(resp); err == nil {
		start, _ = io.ReadAll(io.LimitReader(body, errorStart))
	}
	err := fmt.Errorf("%s: answered %s", plan, tasks.SanitizeText(resp.Status, errorStart))
	if text := tasks.SanitizeText(string(start), errorStart); text != "" {
		err = fmt.Errorf("%w: %s", err, text)
	}
	if passes(resp.StatusCode) {
		return tasks.WithKind(tasks.KindHTTP, err)
	}
	return tasks.NonRetryable(err)
}

// later adds the wait that the server asks for in Retry-After, if any, to err.
func later(ctx context.Context, resp *nethttp.Response, err error) error {
	call, _ := tasks.AttemptFrom(ctx)
	now := time.Time{}
	if call.Now != nil {
		now = call.Now()
	}
	if wait := web.RetryAfter(resp, now); wait > 0 {
		return tasks.RetryAfter(err, wait)
	}
	return err
}

// passes reports whether the same request may succeed later.
func passes(status int) bool {
	switch status {
	case nethttp.StatusRequestTimeout, nethttp.StatusTooEarly, nethttp.StatusTooManyRequests:
		return true
	}
	return status < 400 || status > 499
}
