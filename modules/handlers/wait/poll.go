package wait

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/sluiceworks/sluice/modules/handlers/web"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/redact"
)

// pollResult is the result of one poll.
type pollResult struct {
	holds  bool
	reason string        // why the condition does not hold
	status int           // of a response that meets the condition
	after  time.Duration // the wait that the server asks for; 0 if none
}

const userAgent = "sluice"

func (w *Wait) poll(ctx context.Context, in waitWith, now time.Time) (pollResult, error) {
	if in.URL != nil {
		return w.ask(ctx, in, now)
	}
	_, err := os.Stat(in.File)
	switch {
	case err == nil:
		return pollResult{holds: true}, nil
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return pollResult{reason: fmt.Sprintf("file %q is not there yet", in.File)}, nil
	}
	return pollResult{}, tasks.WithKind(tasks.KindError, fmt.Errorf("check the file: %w", err))
}

// ask makes one request. A server that does not respond is not an error, because the task waits for it to respond.
func (w *Wait) ask(ctx context.Context, in waitWith, now time.Time) (pollResult, error) {
	limited, cancel := context.WithTimeout(ctx, in.timeout())
	defer cancel()
	request := web.Request{
		Method: http.MethodGet, URL: in.URL.url, Header: http.Header{"User-Agent": {userAgent}},
		Expects: in.wanted,
	}
	resp, err := web.Do(limited, w.transport, request)
	name := redact.Request(in.URL.url)
	switch {
	case err == nil:
		defer func() { _ = resp.Body.Close() }() // the body is not read
	case ctx.Err() != nil:
		return pollResult{}, fmt.Errorf("request ended: %w", ctx.Err())
	case limited.Err() != nil:
		return pollResult{reason: fmt.Sprintf("%s did not answer within %s", name, in.timeout())}, nil
	case errors.As(err, new(*tasks.HandlerError)):
		return pollResult{}, err // the proxy's configuration is invalid, which waiting does not change
	default:
		return pollResult{reason: tasks.SanitizeText(err.Error(), tasks.MaxError)}, nil
	}
	if !in.expects(resp.StatusCode) {
		reason := fmt.Sprintf("%s answered %s", name, tasks.SanitizeText(resp.Status, 200))
		return pollResult{reason: reason, after: web.RetryAfter(resp, now)}, nil
	}
	return pollResult{holds: true, status: resp.StatusCode}, nil
}

func (in *waitWith) expects(status int) bool {
	if len(in.ExpectStatus) == 0 {
		return status >= 200 && status <= 299
	}
	return slices.Contains(in.ExpectStatus, status)
}

// wanted reports whether the task names the status explicitly. A redirect with such a status is not followed.
func (in *waitWith) wanted(status int) bool { return len(in.ExpectStatus) > 0 && in.expects(status) }
