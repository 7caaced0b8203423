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

// MaxRedirects is how many redirections in a row are followed.
const MaxRedirects = 10

// drained is how much of a redirection's body is read so that its connection can be used again.
const drained = 4 << 10

// Request is one to be made.
type Request struct {
	Method  string
	URL     *url.URL
	Header  http.Header
	Host    string // the header Host, if it is not that of URL
	Body    []byte // nil for none
	Expects func(status int) bool
}

// ErrBodyElsewhere is returned for a redirection that asks for the same request, body included, of another origin.
var ErrBodyElsewhere = errors.New("redirected to another origin, to which the body is not sent")

// Do makes the request and follows redirections as RFC 9110 has it: 303 becomes GET; 301 and 302 turn POST into GET, as all browsers
// do, and leave other methods; 307 and 308 repeat the request. A redirection whose status Expects takes is the answer.
//
// Where the scheme, the host or the port changes, the next request carries no more than the headers in safeHeaders: what else a task
// has set may be a credential, by whatever name. A body is not sent there either, and to repeat the request without it would be
// another one: Do then fails with ErrBodyElsewhere. The errors hold no URL but redacted ones.
func Do(ctx context.Context, transport http.RoundTripper, r Request) (*http.Response, error) {
	r.Header = r.Header.Clone()
	for n := 0; ; n++ {
		resp, err := r.send(ctx, transport)
		if err != nil {
			shown := fmt.Errorf("%s %s: %w", r.Method, redact.Request(r.URL), redact.RequestError(err))
			if n == 0 && tasks.OutOfResources(err) {
				return nil, tasks.CannotStart(shown) // nothing was sent
			}
			return nil, shown
		}
		if !redirects(resp.StatusCode) || r.Expects(resp.StatusCode) || resp.Header.Get("Location") == "" {
			return resp, nil
		}
		_, _ = io.CopyN(io.Discard, resp.Body, drained) // for the connection's sake alone
		_ = resp.Body.Close()
		if n == MaxRedirects {
			return nil, fmt.Errorf("%s %s: more than %d redirections", r.Method, redact.Request(r.URL), MaxRedirects)
		}
		if err := r.follow(resp); err != nil {
			return nil, err
		}
	}
}

// send goes past http.Client, which would repeat a Location that it cannot read, send a Referer and choose methods by itself.
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
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return false
}

// safeHeaders go along to another origin.
var safeHeaders = []string{"Accept", "Accept-Encoding", "Accept-Language", "User-Agent"}

// follow makes the request the one that a redirection asks for.
func (r *Request) follow(resp *http.Response) error {
	next, err := r.URL.Parse(resp.Header.Get("Location"))
	from := fmt.Sprintf("%s %s: answered %s", r.Method, redact.Request(r.URL), resp.Status)
	if err != nil {
		return fmt.Errorf("%s with a Location that is no URL", from)
	}
	if next.Scheme != "http" && next.Scheme != "https" || next.Hostname() == "" {
		return fmt.Errorf("%s with a Location that is neither http nor https", from)
	}
	next.RawQuery = encodeQuery(next.RawQuery)
	becomesGet := resp.StatusCode == http.StatusSeeOther && r.Method != http.MethodHead ||
		r.Method == http.MethodPost && resp.StatusCode != http.StatusTemporaryRedirect && resp.StatusCode != http.StatusPermanentRedirect
	if becomesGet {
		r.Method, r.Body = http.MethodGet, nil
		for name := range r.Header {
			if strings.HasPrefix(name, "Content-") { // they told of the body
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

// sameOrigin tells whether scheme, host and port are the same.
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
