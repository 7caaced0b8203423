package http

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	nethttp "net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"

	"github.com/sluiceworks/sluice/modules/tasks"
)

// seen is a request as a server received it.
type seen struct {
	method, body, uri string
	header            nethttp.Header
}

// recorder responds with 200 and records the requests.
func recorder(t *testing.T, tls bool) (*httptest.Server, *[]seen) {
	t.Helper()
	var got []seen
	f := nethttp.HandlerFunc(func(_ nethttp.ResponseWriter, r *nethttp.Request) {
		raw, _ := io.ReadAll(r.Body)
		got = append(got, seen{r.Method, string(raw), r.RequestURI, r.Header})
	})
	server := httptest.NewUnstartedServer(f)
	if tls {
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	return server, &got
}

// TestRedirectElsewhere checks redirects that change the scheme, the host or the port. Neither a header that the task
// has set nor credentials in its URL are sent along. A request with a body is not repeated: the task fails instead of
// making a request that it was not asked to make.
func TestRedirectElsewhere(t *testing.T) {
	t.Parallel()
	plain, toPlain := recorder(t, false)
	var to string
	h, base := serve(t, func(w nethttp.ResponseWriter, r *nethttp.Request) {
		var status int
		_, _ = fmt.Sscanf(r.URL.Path, "/%d", &status)
		nethttp.Redirect(w, r, to, status)
	})
	secure := httptest.NewTLSServer(nethttp.RedirectHandler(plain.URL+"/down", nethttp.StatusFound))
	t.Cleanup(secure.Close)
	h.transport.TLSClientConfig = secure.Client().Transport.(*nethttp.Transport).TLSClientConfig
	const headers = `{"Authorization": "Bearer s3cr3t", "Cookie": "a=s3cr3t", "X-Api-Key": "s3cr3t", ` +
		`"PRIVATE-TOKEN": "s3cr3t", "Host": "s3cr3t.test", "Accept": "text/x"}`
	withUser := func(u string) string { return strings.Replace(u, "://", "://me:s3cr3t@", 1) }
	for name, c := range map[string]struct{ from, to string }{
		"port":   {withUser(base) + "/302", plain.URL + "/port"},
		"host":   {withUser(base) + "/307", strings.Replace(plain.URL, "127.0.0.1", "localhost", 1) + "/host"},
		"scheme": {withUser(secure.URL) + "/", plain.URL},
	} {
		to, *toPlain = c.to, nil
		if _, err := do(t.Context(), h, fmt.Sprintf(`{"url": %q, "headers": %s}`, c.from, headers)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if len(*toPlain) != 1 || (*toPlain)[0].header.Get("Accept") != "text/x" ||
			(*toPlain)[0].header.Get("Referer") != "" ||
			strings.Contains(fmt.Sprint((*toPlain)[0].header), "s3cr3t") {
			t.Errorf("%s: %+v", name, *toPlain)
		}
	}
	to, *toPlain = plain.URL+"/x?token=s3cr3t", nil
	for _, status := range []int{307, 308} {
		_, err := do(t.Context(), h, fmt.Sprintf(`{"url": "%s/%d", "body": "s3cr3t"}`, base, status))
		wants(t, err, tasks.KindPermanent, "to which the body is not sent")
		if err != nil && strings.Contains(err.Error(), "s3cr3t") {
			t.Error(err)
		}
	}
	if len(*toPlain) != 0 {
		t.Errorf("the other server was asked: %+v", *toPlain)
	}
}

// TestRedirectMethods checks that headers are kept at the same origin, and that method and body follow RFC 9110.
func TestRedirectMethods(t *testing.T) {
	t.Parallel()
	var got seen
	h, base := serve(t, func(w nethttp.ResponseWriter, r *nethttp.Request) {
		raw, _ := io.ReadAll(r.Body)
		if got = (seen{r.Method, string(raw), r.RequestURI, r.Header}); r.URL.Path == "/done" {
			return
		}
		var status int
		_, _ = fmt.Sscanf(r.URL.Path, "/%d", &status)
		w.Header().Set("Location", "/done")
		w.WriteHeader(status)
	})
	for _, status := range []int{301, 302, 303, 307, 308} {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE"} {
			want := method
			if status == 303 && method != "HEAD" || status <= 302 && method == "POST" {
				want = "GET"
			}
			body := ""
			if method == "POST" || method == "PUT" {
				body = `, "body": "text"`
			}
			_, err := do(t.Context(), h,
				fmt.Sprintf(`{"url": "%s/%d", "method": %q, "headers": {"X-Key": "k"}%s}`, base, status, method, body))
			if err != nil || got.method != want || (got.body != "") != (want == method && body != "") ||
				got.header.Get("X-Key") != "k" || got.uri != "/done" {
				t.Errorf("%d of %s: %v, %+v", status, method, err, got)
			}
			if want != method && got.header.Get("Content-Type") != "" {
				t.Errorf("%d of %s: a type without a body: %v", status, method, got.header)
			}
		}
	}
}

// TestRetryAfter checks that the error carries the wait that the server asks for: in seconds or as a date by the
// server's own clock, at most an hour, and only for 429 and 503.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	h, base := serve(t, func(w nethttp.ResponseWriter, r *nethttp.Request) {
		q := r.URL.Query()
		w.Header().Set("Date", "Wed, 21 Oct 2015 07:28:00 GMT")
		w.Header().Set("Retry-After", q.Get("after"))
		var status int
		_, _ = fmt.Sscan(q.Get("status"), &status)
		w.WriteHeader(status)
	})
	for _, c := range []struct {
		status int
		after  string
		want   time.Duration
	}{
		{429, "5", 5 * time.Second},
		{503, "Wed, 21 Oct 2015 07:30:00 GMT", 2 * time.Minute},
		{503, "Wed, 21 Oct 2015 07:27:00 GMT", 0},
		{429, "0", 0},
		{429, "-5", 0},
		{429, "soon", 0},
		{429, "", 0},
		{429, "86400", time.Hour},
		{429, "99999999999999999999", time.Hour},
		{503, "Wed, 21 Oct 2099 07:28:00 GMT", time.Hour},
		{500, "5", 0},
		{404, "5", 0},
	} {
		_, err := do(t.Context(), h,
			fmt.Sprintf(`{"url": "%s/?status=%d&after=%s"}`, base, c.status, strings.ReplaceAll(c.after, " ", "+")))
		var later *tasks.RetryAfterError
		got := time.Duration(0)
		if errors.As(err, &later) {
			got = later.Wait
		}
		if got != c.want || err == nil {
			t.Errorf("%d %q: %s, %v", c.status, c.after, got, err)
		}
		wants(t, err, map[bool]tasks.ErrorKind{true: tasks.KindPermanent, false: tasks.KindHTTP}[c.status == 404],
			"answered")
	}
}

// TestContentEncoding checks that a body is decoded, that the limit applies to the decoded body, and that a wrong
// encoding is an error.
func TestContentEncoding(t *testing.T) {
	t.Parallel()
	zipped := func(text string) string {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, _ = io.WriteString(w, text)
		_ = w.Close()
		return b.String()
	}
	deflated := func(text string) string {
		var b bytes.Buffer
		w := zlib.NewWriter(&b)
		_, _ = io.WriteString(w, text)
		_ = w.Close()
		return b.String()
	}
	var coding, body string
	h, base := serve(t, func(w nethttp.ResponseWriter, _ *nethttp.Request) {
		w.Header().Set("Content-Encoding", coding)
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(w, body)
	})
	for _, c := range []struct{ coding, body, want, kind, text string }{
		{"gzip", zipped("hello"), "hello", "", ""},
		{"X-GZIP", zipped("hello"), "hello", "", ""},
		{"deflate", deflated("hello"), "hello", "", ""},
		{"deflate", deflated("hello")[2:], "hello", "", ""},
		{"deflate, gzip", zipped(deflated("hello")), "hello", "", ""},
		{"identity", "hello", "hello", "", ""},
		{"gzip", "hello", "", string(tasks.KindHTTP), "says that it is encoded as gzip and is not"},
		{"br", "hello", "", string(tasks.KindHTTP), `encoded as "br"`},
		{"gzip", zipped("hello, a text")[:20], "", string(tasks.KindError), "unexpected EOF"},
		{"gzip", zipped(strings.Repeat("a", 4<<20)), "", string(tasks.KindInvalidOutput), "too large"},
	} {
		coding, body = c.coding, c.body
		out, err := do(t.Context(), h, fmt.Sprintf(`{"url": %q}`, base))
		if c.kind != "" {
			wants(t, err, tasks.ErrorKind(c.kind), c.text)
			continue
		}
		var a response
		if err != nil || json.Unmarshal(out, &a) != nil || a.Body != c.want || a.Bytes != int64(len(c.want)) {
			t.Errorf("%s: %v, %s", c.coding, err, out)
		}
	}
}

// TestCharsets checks that text is decoded by its byte order mark, else by its declared charset, and that other bytes
// are returned in base64. JSON is decoded in the same way and kept digit for digit.
func TestCharsets(t *testing.T) {
	t.Parallel()
	latin, _ := charmap.ISO8859_1.NewEncoder().String("café")
	wide, _ := unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder().String(`{"a": "é"}`)
	var contentType, body string
	h, base := serve(t, func(w nethttp.ResponseWriter, _ *nethttp.Request) {
		w.Header().Set("Content-Type", contentType)
		_, _ = io.WriteString(w, body)
	})
	for _, c := range []struct{ contentType, body, want, encoding string }{
		{"text/plain", "café", `"café"`, ""},
		{"text/plain", "\ufeffcafé", `"café"`, ""},
		{"text/plain; charset=ISO-8859-1", latin, `"café"`, ""},
		{"text/plain", latin, `"Y2Fm6Q=="`, "base64"},
		{"application/octet-stream", "a\x00b", `"YQBi"`, "base64"},
		{"application/json", "\ufeff{\"a\": 1.10}", `{"a":1.10}`, ""},
		{"application/json", wide, `{"a":"é"}`, ""},
		{"application/json; charset=latin1", `{"a": "` + latin + `"}`, `{"a":"café"}`, ""},
		{
			"application/json", `{"n": 12345678901234567890, "m": 1.10, "e": 1e2}`,
			`{"n":12345678901234567890,"m":1.10,"e":1e2}`, "",
		},
	} {
		contentType, body = c.contentType, c.body
		out, err := do(t.Context(), h, fmt.Sprintf(`{"url": %q}`, base))
		var a struct {
			Body     json.RawMessage `json:"body"`
			Encoding string          `json:"encoding"`
		}
		if err != nil || json.Unmarshal(out, &a) != nil || string(a.Body) != c.want || a.Encoding != c.encoding {
			t.Errorf("%s %q: %v, %s, want %s", c.contentType, c.body, err, out, c.want)
		}
	}
	contentType = "text/plain; charset=klingon"
	_, err := do(t.Context(), h, fmt.Sprintf(`{"url": %q}`, base))
	wants(t, err, tasks.KindHTTP, `"klingon"`)
	contentType, body = "application/json", "{\"a\": \""+latin+"\"}"
	_, err = do(t.Context(), h, fmt.Sprintf(`{"url": %q}`, base))
	wants(t, err, tasks.KindHTTP, "is not")
}

// TestSecretsOfURLs checks that no error contains a query or what precedes the host in a URL.
func TestSecretsOfURLs(t *testing.T) {
	t.Parallel()
	h, base := serve(t, func(w nethttp.ResponseWriter, r *nethttp.Request) {
		switch r.URL.Path {
		case "/status":
			w.WriteHeader(nethttp.StatusNotFound)
		case "/slow":
			<-r.Context().Done()
		case "/loop":
			w.Header().Set("Location", r.RequestURI)
			w.WriteHeader(nethttp.StatusFound)
		case "/bad":
			w.Header().Set("Location", "http://h:s3cr3t/")
			w.WriteHeader(nethttp.StatusFound)
		case "/cut":
			panic(nethttp.ErrAbortHandler)
		}
	})
	user := strings.Replace(base, "://", "://me:s3cr3t@", 1)
	for _, target := range []string{user + "/status", user + "/slow", user + "/loop", user + "/bad", user +
		"/cut", "http://me:s3cr3t@127.0.0.1:1/none"} {
		_, err := do(t.Context(), h, fmt.Sprintf(`{"url": "%s?api_key=s3cr3t&s3cr3t", "timeout": "300ms"}`, target))
		if err == nil || strings.Contains(err.Error(), "s3cr3t") ||
			strings.HasSuffix(target, "/bad") != strings.Contains(err.Error(), "Location") {
			t.Errorf("%s: %v", target, err)
		}
	}
}

// TestQueryEncoding checks that characters that a request line cannot contain are encoded in their place.
func TestQueryEncoding(t *testing.T) {
	t.Parallel()
	var uris []string
	h, base := serve(t, func(_ nethttp.ResponseWriter, r *nethttp.Request) { uris = append(uris, r.RequestURI) })
	for _, query := range []string{"q=a HTTP/1.0", "q=é", "q=100%", "q=%20+", `q=\"<>`} {
		if _, err := do(t.Context(), h, fmt.Sprintf(`{"url": "%s/s?%s"}`, base, query)); err != nil {
			t.Error(err)
		}
	}
	want := []string{"/s?q=a%20HTTP/1.0", "/s?q=%C3%A9", "/s?q=100%25", "/s?q=%20+", "/s?q=%22%3C%3E"}
	if !slices.Equal(uris, want) {
		t.Errorf("%q, want %q", uris, want)
	}
}
