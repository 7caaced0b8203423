package wait

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"slices"
	"syscall"

	"github.com/sluiceworks/sluice/modules/tasks"
)

// looked is what one look found.
type looked struct {
	holds  bool
	reason string // why it does not hold
	status int    // of an answer that holds
}

const (
	maxRedirects = 10
	userAgent    = "sluice"
)

func (w *Wait) look(ctx context.Context, in waitWith) (looked, error) {
	if in.URL != nil {
		return w.ask(ctx, in)
	}
	_, err := os.Stat(in.File)
	switch {
	case err == nil:
		return looked{holds: true}, nil
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return looked{reason: fmt.Sprintf("file %q is not there yet", in.File)}, nil
	}
	return looked{}, tasks.WithKind(tasks.KindError, fmt.Errorf("look for the file: %w", err))
}

// ask makes one request. That nobody answers is what the task waits for to change, and no error.
func (w *Wait) ask(ctx context.Context, in waitWith) (looked, error) {
	limited, cancel := context.WithTimeout(ctx, in.timeout())
	defer cancel()
	req, err := http.NewRequestWithContext(limited, http.MethodGet, in.URL.url.String(), nil)
	if err != nil {
		return looked{}, tasks.Permanent(fmt.Errorf("make the request: %w", err))
	}
	req.Header.Set("User-Agent", userAgent)
	client := &http.Client{Transport: w.transport, CheckRedirect: in.redirect}
	resp, err := client.Do(req)
	name := in.URL.url.Redacted()
	var failed *url.Error
	switch {
	case err == nil:
		defer func() { _ = resp.Body.Close() }() // nobody reads it
	case ctx.Err() != nil:
		return looked{}, fmt.Errorf("request ended: %w", ctx.Err())
	case limited.Err() != nil:
		return looked{reason: fmt.Sprintf("%s did not answer within %s", name, in.timeout())}, nil
	case errors.As(err, &failed):
		return looked{reason: fmt.Sprintf("%s: %v", name, failed.Err)}, nil // without the URL again, which may hold a password
	default:
		return looked{reason: fmt.Sprintf("%s: %v", name, err)}, nil
	}
	if !in.expects(resp.StatusCode) {
		return looked{reason: fmt.Sprintf("%s answered %s", name, tasks.CleanText(resp.Status, 200))}, nil
	}
	return looked{holds: true, status: resp.StatusCode}, nil
}

func (in *waitWith) expects(status int) bool {
	if len(in.ExpectStatus) == 0 {
		return status >= 200 && status <= 299
	}
	return slices.Contains(in.ExpectStatus, status)
}

// redirect follows a redirection unless its status is one that the task waits for.
func (in *waitWith) redirect(req *http.Request, via []*http.Request) error {
	switch {
	case len(in.ExpectStatus) > 0 && in.expects(req.Response.StatusCode):
		return http.ErrUseLastResponse
	case len(via) > maxRedirects:
		return fmt.Errorf("more than %d redirections", maxRedirects)
	}
	return nil
}
