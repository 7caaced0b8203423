package web

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/redact"
)

// MaxRedirects is the maximum number of redirects in a row that are followed.
const MaxRedirects = 10

// drained is how many bytes of a redirect's body are read so that the connection can be reused.
const drained = 4 << 10

// Request is an HTTP request to make.
type Request struct {
	Method  string
	URL     *url.URL
	Header  http.Header
	Host    string // the Host header, if it differs from the host of URL
	Body    []byte // nil for none
	Expects func(status int) bool
}

// ErrBodyElsewhere is returned for a redirect that asks to repeat the request, body included, at another origin.
var ErrBodyElsewhere = errors.New("redirected to another origin, to which the body is not sent")

// Do makes the request and follows redirects as RFC 9110 defines: 303 becomes GET; 301 and 302 turn POST into GET, as
// all browsers do, and keep other methods; 307 and 308 repeat the request. A redirect is not followed if Expects
// returns true for its status.
//
// If the scheme, the host or the port changes, the next request carries only safeHeaders, because any other header
// that a task has set may be a credential, whatever its name. A body is not sent to another origin either. The
// request without its body would be a different request, so Do fails with ErrBodyElsewhere. Errors contain URLs in
// redacted form only.
func Do(ctx context.Context, transport http.RoundTripper, r Request) (*http.Response, error) {
	r.Header = r.Header.Clone()
	for n := 0; ; n++ {
		resp, err := r.send(ctx, transport)
		if err != nil {
			shown := fmt.Errorf("%s %s: %w", r.Method, redact.Request(r.URL), redact.RequestError(err))
			if n == 0 && tasks.OutOfResources(err) {
				return nil, tasks.CannotStart(shown) // no request was sent
			}
			return nil, shown
		}
		if !redirects(resp.StatusCode) || r.Expects(resp.StatusCode) || resp.Header.Get("Location") == "" {
			return resp, nil
		}
		_, _ = io.CopyN(io.Discard, resp.Body, drained) // only to reuse the connection
		_ = resp.Body.Close()
		if n == MaxRedirects {
			return nil, fmt.Errorf("%s %s: more than %d redirections", r.Method, redact.Request(r.URL), MaxRedirects)
		}
		if err := r.follow(resp); err != nil {
			return nil, err
		}
	}
}

// send makes one request without following redirects. It does not use http.Client, which would repeat a Location that
// it cannot parse, send a Referer and choose methods itself.
func (r *Request) send(ctx context.Context, transport http.RoundTripper) (*http.Response, error) {
	var body io.Reader
	if r.Body != nil {
		body = bytes.NewReader(r.Body)
	}
	req, err := http.NewRequestWithContext(ctx, r.Method, r.URL.String(), body)
	if err != nil {
		return nil, err
	}
	req.Header = r.Header.Clone()
	if u := r.URL.User; u != nil && req.Header.Get("Authorization") == "" {
		password, _ := u.Password()
		req.SetBasicAuth(u.Username(), password)
	}
	if r.Host != "" {
		req.Host = r.Host
	}
	return transport.RoundTrip(req)
}

func redirects(status int) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect,
		http.StatusPermanentRedirect:
		return true
	}
	return false
}

// safeHeaders are the headers that are also sent to another origin.
var safeHeaders = []string{"Accept", "Accept-Encoding", "Accept-Language", "User-Agent"}

// follow changes the request into the one that a redirect asks for.
func (r *Request) follow(resp *http.Response) error {
	next, err := r.URL.Parse(resp.Header.Get("Location"))
	from := fmt.Sprintf("%s %s: answered %s", r.Method, redact.Request(r.URL), resp.Status)
	if err != nil {
		return fmt.Errorf("%s with a Location that is not a URL", from)
	}
	if next.Scheme != "http" && next.Scheme != "https" || next.Hostname() == "" {
		return fmt.Errorf("%s with a Location that is neither http nor https", from)
	}
	next.RawQuery = encodeQuery(next.RawQuery)
	becomesGet := resp.StatusCode == http.StatusSeeOther && r.Method != http.MethodHead ||
		r.Method == http.MethodPost && resp.StatusCode != http.StatusTemporaryRedirect &&
			resp.StatusCode != http.StatusPermanentRedirect
	if becomesGet {
		r.Method, r.Body = http.MethodGet, nil
		for name := range r.Header {
			if strings.HasPrefix(name, "Content-") { // they described the body
				r.Header.Del(name)
			}
		}
	}
	if sameOrigin(r.URL, next) {
		if next.User == nil {
			next.User = r.URL.User
		}
		r.URL = next
		return nil
	}
	if r.Body != nil {
		return fmt.Errorf("%s: %w: %s", from, ErrBodyElsewhere, redact.Request(next))
	}
	r.URL, r.Host = next, ""
	for name := range r.Header {
		if !slices.Contains(safeHeaders, name) {
			r.Header.Del(name)
		}
	}
	return nil
}

// sameOrigin reports whether scheme, host and port are equal.
func sameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && strings.EqualFold(a.Hostname(), b.Hostname()) && portOf(a) == portOf(b)
}

func portOf(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "https":
		return "443"
	}
	return "80"
}
