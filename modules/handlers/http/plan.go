package http

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	nethttp "net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sluiceworks/sluice/modules/tasks"
)

// plan is a request that has been checked, with the defaults filled in.
type plan struct {
	method      string
	url         *url.URL
	headers     map[string]scalar
	body        []byte // nil for none
	contentType string // of the body, unless the headers say
	timeout     time.Duration
	expected    []int // empty: 200 to 299
	maxBytes    int64
}

func (w *with) plan() (*plan, error) {
	if err := w.check(func(string) bool { return true }); err != nil {
		return nil, err
	}
	u, err := parseURL(w.URL)
	if err != nil {
		return nil, err
	}
	timeout, err := parseTimeout(w.Timeout)
	if err != nil {
		return nil, err
	}
	p := &plan{
		method: strings.ToUpper(w.Method), url: u, headers: w.Headers, timeout: timeout, expected: w.ExpectStatus, maxBytes: w.limit(),
	}
	if err := p.setBody(w.Body); err != nil {
		return nil, err
	}
	if p.method == "" {
		p.method = nethttp.MethodGet
		if p.body != nil {
			p.method = nethttp.MethodPost
		}
	}
	return p, nil
}

func (w *with) limit() int64 {
	switch {
	case w.SaveAs == "" && w.MaxBytes == 0:
		return tasks.MaxOutput
	case w.SaveAs == "":
		return min(w.MaxBytes, tasks.MaxOutput)
	case w.MaxBytes == 0:
		return DefaultMaxSaved
	}
	return w.MaxBytes
}

func (p *plan) setBody(raw json.RawMessage) error {
	switch {
	case len(raw) == 0 || string(raw) == "null":
		return nil
	case raw[0] != '"':
		p.body, p.contentType = raw, "application/json"
		return nil
	}
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return &tasks.FieldError{Field: "body", Msg: err.Error()}
	}
	p.body, p.contentType = []byte(text), "text/plain; charset=utf-8"
	return nil
}

// context bounds the request by its own timeout, if it has one.
func (p *plan) context(ctx context.Context) (context.Context, context.CancelFunc) {
	if p.timeout == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, p.timeout)
}

func (p *plan) request(ctx context.Context) (*nethttp.Request, error) {
	var body io.Reader
	if p.body != nil {
		body = bytes.NewReader(p.body)
	}
	req, err := nethttp.NewRequestWithContext(ctx, p.method, p.url.String(), body)
	if err != nil {
		return nil, fmt.Errorf("make the request: %w", err)
	}
	if p.body != nil {
		req.Header.Set("Content-Type", p.contentType)
	}
	req.Header.Set("User-Agent", userAgent)
	for name, value := range p.headers {
		if strings.EqualFold(name, "Host") {
			req.Host = string(value)
			continue
		}
		req.Header.Set(name, string(value))
	}
	return req, nil
}

func (p *plan) expects(status int) bool {
	if len(p.expected) == 0 {
		return status >= 200 && status <= 299
	}
	return slices.Contains(p.expected, status)
}

// redirect follows a redirection unless its status is one that the task expects, and then wants to see.
func (p *plan) redirect(req *nethttp.Request, via []*nethttp.Request) error {
	switch {
	case len(p.expected) > 0 && p.expects(req.Response.StatusCode):
		return nethttp.ErrUseLastResponse
	case len(via) > MaxRedirects:
		return fmt.Errorf("more than %d redirections", MaxRedirects)
	}
	return nil
}
