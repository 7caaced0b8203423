package http

import (
	"context"
	"encoding/json"
	nethttp "net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sluiceworks/sluice/modules/handlers/web"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/redact"
)

// plan is a validated request with its defaults filled in.
type plan struct {
	method      string
	url         *url.URL
	headers     map[string]scalar
	body        []byte // nil for none
	contentType string // of the body, unless the headers set another
	timeout     time.Duration
	expected    []int // empty: 200 to 299
	maxBytes    int64
}

func (w *with) plan() (*plan, error) {
	if err := w.check(func(string) bool { return true }); err != nil {
		return nil, err
	}
	u, err := web.ParseURL(w.URL)
	if err != nil {
		return nil, err
	}
	timeout, err := parseTimeout(w.Timeout)
	if err != nil {
		return nil, err
	}
	p := &plan{
		method: strings.ToUpper(w.Method), url: u, headers: w.Headers, timeout: timeout, expected: w.ExpectStatus,
		maxBytes: w.limit(),
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

// context applies the request's own timeout, if it has one.
func (p *plan) context(ctx context.Context) (context.Context, context.CancelFunc) {
	if p.timeout == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, p.timeout)
}

func (p *plan) request() web.Request {
	r := web.Request{Method: p.method, URL: p.url, Header: nethttp.Header{}, Body: p.body, Expects: p.wanted}
	if p.body != nil {
		r.Header.Set("Content-Type", p.contentType)
	}
	r.Header.Set("User-Agent", userAgent)
	r.Header.Set("Accept-Encoding", web.AcceptEncoding)
	for name, value := range p.headers {
		if strings.EqualFold(name, "Host") {
			r.Host = string(value)
			continue
		}
		r.Header.Set(name, string(value))
	}
	return r
}

func (p *plan) expects(status int) bool {
	if len(p.expected) == 0 {
		return status >= 200 && status <= 299
	}
	return slices.Contains(p.expected, status)
}

// wanted reports whether the task names the status explicitly. A redirect with such a status is not followed.
func (p *plan) wanted(status int) bool { return len(p.expected) > 0 && p.expects(status) }

// String returns the request for error messages, with possible secrets removed.
func (p *plan) String() string { return p.method + " " + redact.Request(p.url) }
