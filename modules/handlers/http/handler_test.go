package http

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	nethttp "net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/fx"
	"go.uber.org/goleak"

	"sluice/modules/tasks"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve starts a server and a handler for one test.
func serve(t *testing.T, f nethttp.HandlerFunc) (*Handler, string) {
	t.Helper()
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	h := New()
	t.Cleanup(h.Close)
	return h, server.URL
}

// do runs a task whose `with` is the given JSON.
func do(ctx context.Context, h *Handler, with string) (json.RawMessage, error) {
	return h.Run(ctx, &tasks.Call{With: json.RawMessage(with)})
}

func kindOf(err error) tasks.ErrorKind {
	var kinded *tasks.KindedError
	if errors.As(err, &kinded) {
		return kinded.Kind
	}
	return ""
}

// wants fails the test unless err has the kind and says the text.
func wants(t *testing.T, err error, kind tasks.ErrorKind, text string) {
	t.Helper()
	if err == nil || kindOf(err) != kind || !strings.Contains(err.Error(), text) {
		t.Errorf("got %v of kind %q, want %q of kind %q", err, kindOf(err), text, kind)
	}
}

func TestAnswers(t *testing.T) {
	for _, c := range []struct {
		name, contentType, body string
		want                    string
	}{
		{"text", "text/plain", "häl\"lo\n", `{"status":200,"headers":{"content-type":"text/plain"},"bytes":8,"body":"häl\"lo\n"}`},
		{"empty", "text/plain", "", `{"status":200,"headers":{"content-type":"text/plain"},"bytes":0,"body":""}`},
		{
			"JSON", "application/json; charset=utf-8", `{"n": 9007199254740993, "x": "<"}`,
			`{"status":200,"headers":{"content-type":"application/json; charset=utf-8"},"bytes":33,"body":{"n":9007199254740993,"x":"<"}}`,
		},
		{"kind of JSON", "application/problem+json", `[null]`, `{"status":200,"headers":{"content-type":"application/problem+json"},"bytes":6,"body":[null]}`},
		{"empty JSON", "application/json", " \n", `{"status":200,"headers":{"content-type":"application/json"},"bytes":2}`},
		{"JSON as text", "text/plain", `{}`, `{"status":200,"headers":{"content-type":"text/plain"},"bytes":2,"body":"{}"}`},
		{"bytes", "image/x", "a\x00\xff\xfeb", `{"status":200,"headers":{"content-type":"image/x"},"bytes":5,"body":"a?b"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, url := serve(t, func(w nethttp.ResponseWriter, _ *nethttp.Request) {
				w.Header().Set("Content-Type", c.contentType)
				w.Header().Set("Set-Cookie", "secret=1")
				_, _ = io.WriteString(w, c.body)
			})
			got, err := do(t.Context(), h, `{"url":"`+url+`"}`)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, string(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestKeptHeaders(t *testing.T) {
	h, url := serve(t, func(w nethttp.ResponseWriter, _ *nethttp.Request) {
		for name, value := range map[string]string{
			"Content-Type": "text/css", "ETag": `"v1"`, "Last-Modified": "Mon, 02 Jan 2006 15:04:05 GMT", "Location": "/x", "X-Other": "y",
		} {
			w.Header().Set(name, value)
		}
	})
	out, err := do(t.Context(), h, `{"url":"`+url+`","method":"HEAD"}`)
	if err != nil {
		t.Fatal(err)
	}
	var got answer
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"content-type": "text/css", "etag": `"v1"`, "last-modified": "Mon, 02 Jan 2006 15:04:05 GMT", "location": "/x",
	}
	if diff := cmp.Diff(want, got.Headers); diff != "" {
		t.Error(diff)
	}
}

func TestRequests(t *testing.T) {
	echo := func(w nethttp.ResponseWriter, r *nethttp.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		fmt.Fprintf(w, "%s %s %s|%s|%s|%s|%s", r.Method, r.URL, r.Host, r.UserAgent(), r.Header.Get("Content-Type"), r.Header.Get("X-Key"), body)
	}
	h, url := serve(t, echo)
	host := strings.TrimPrefix(url, "http://")
	for _, c := range []struct{ name, with, want string }{ // with goes on after the URL
		{"least", ``, "GET /a?b=c " + host + "|sluice|||"},
		{"method", `,"method":"delete"`, "DELETE /a?b=c " + host + "|sluice|||"},
		{"text", `,"body":"x\ny"`, "POST /a?b=c " + host + "|sluice|text/plain; charset=utf-8||x\ny"},
		{"JSON", `,"body":{"n":9007199254740993}`, "POST /a?b=c " + host + `|sluice|application/json||{"n":9007199254740993}`},
		{"false is a body", `,"body":false`, "POST /a?b=c " + host + "|sluice|application/json||false"},
		{"empty text is a body", `,"body":""`, "POST /a?b=c " + host + "|sluice|text/plain; charset=utf-8||"},
		{"null is none", `,"body":null`, "GET /a?b=c " + host + "|sluice|||"},
		{"PUT", `,"method":"PUT","body":[1]`, "PUT /a?b=c " + host + "|sluice|application/json||[1]"},
		{
			"headers", `,"body":"a: b","headers":{"content-type":"application/yaml","x-key":12,"Host":"other.example","User-Agent":"me"}`,
			"POST /a?b=c other.example|me|application/yaml|12|a: b",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, err := do(t.Context(), h, `{"url":"`+url+`/a?b=c"`+c.with+`}`)
			if err != nil {
				t.Fatal(err)
			}
			var got answer
			if err := json.Unmarshal(out, &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got.Body); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestStatuses(t *testing.T) {
	h, url := serve(t, func(w nethttp.ResponseWriter, r *nethttp.Request) {
		var status int
		if _, err := fmt.Sscanf(r.URL.Path, "/%d", &status); err != nil {
			t.Error(err)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "be\x00cause "+strings.Repeat("z", 10_000))
	})
	for _, c := range []struct {
		status int
		expect string
		kind   tasks.ErrorKind // empty: no error
	}{
		{200, "", ""},
		{201, "", ""},
		{404, "", tasks.KindPermanent},
		{400, "", tasks.KindPermanent},
		{499, "", tasks.KindPermanent},
		{408, "", tasks.KindHTTP},
		{425, "", tasks.KindHTTP},
		{429, "", tasks.KindHTTP},
		{500, "", tasks.KindHTTP},
		{503, "", tasks.KindHTTP},
		{301, "", tasks.KindHTTP}, // without a Location there is nothing to follow
		{404, "[404, 200]", ""},
		{200, "[404]", tasks.KindHTTP},
		{503, "[503]", ""},
	} {
		with := fmt.Sprintf(`{"url":"%s/%d"}`, url, c.status)
		if c.expect != "" {
			with = fmt.Sprintf(`{"url":"%s/%d","expect_status":%s}`, url, c.status, c.expect)
		}
		out, err := do(t.Context(), h, with)
		if c.kind == "" {
			if err != nil || !strings.HasPrefix(string(out), fmt.Sprintf(`{"status":%d,`, c.status)) {
				t.Errorf("%d, expecting %s: got %.100s, %v", c.status, c.expect, out, err)
			}
			continue
		}
		wants(t, err, c.kind, fmt.Sprintf("GET %s/%d: answered %d", url, c.status, c.status))
		if !strings.Contains(err.Error(), ": because zzz") || len(err.Error()) > 2*errorStart {
			t.Errorf("%d: the error does not show the start of the body: %v", c.status, err)
		}
	}
}

func TestRedirections(t *testing.T) {
	h, url := serve(t, func(w nethttp.ResponseWriter, r *nethttp.Request) {
		var n int
		if _, err := fmt.Sscanf(r.URL.Path, "/%d", &n); err != nil {
			t.Error(err)
		}
		if n == 0 {
			body, _ := io.ReadAll(r.Body)
			_, _ = io.WriteString(w, "arrived with "+r.Method+" "+string(body))
			return
		}
		nethttp.Redirect(w, r, fmt.Sprintf("/%d", n-1), nethttp.StatusTemporaryRedirect)
	})
	out, err := do(t.Context(), h, `{"url":"`+url+`/10","body":"text"}`)
	if err != nil || !strings.Contains(string(out), `"arrived with POST text"`) {
		t.Errorf("ten redirections: got %s, %v", out, err)
	}
	_, err = do(t.Context(), h, `{"url":"`+url+`/11"}`)
	wants(t, err, tasks.KindError, "more than 10 redirections")
	out, err = do(t.Context(), h, `{"url":"`+url+`/3","expect_status":[307]}`)
	if err != nil || !strings.Contains(string(out), `"location":"/2"`) {
		t.Errorf("a redirection that is expected: got %s, %v", out, err)
	}
}

func TestBodyMustFit(t *testing.T) {
	h, url := serve(t, func(w nethttp.ResponseWriter, r *nethttp.Request) {
		var size, flush int
		if _, err := fmt.Sscanf(r.URL.Path, "/%d/%d", &size, &flush); err != nil {
			t.Error(err)
		}
		if flush == 1 {
			w.(nethttp.Flusher).Flush() // the length is then not known beforehand
		} else {
			w.Header().Set("Content-Length", fmt.Sprint(size))
		}
		_, _ = io.WriteString(w, strings.Repeat("x", size))
	})
	for _, path := range []string{"/100/0", "/100/1"} {
		out, err := do(t.Context(), h, `{"url":"`+url+path+`","max_bytes":100}`)
		if err != nil || !strings.Contains(string(out), `"bytes":100,"body":"xxx`) {
			t.Errorf("%s: got %.80s, %v", path, out, err)
		}
	}
	for path, limit := range map[string]int{"/101/0": 100, "/101/1": 100, "/1048577/0": 0, "/1048577/1": 1 << 40} {
		_, err := do(t.Context(), h, fmt.Sprintf(`{"url":"%s%s","max_bytes":%d}`, url, path, limit))
		wants(t, err, tasks.KindInvalidOutput, "too large: more than 1")
	}
	_, err := do(t.Context(), h, `{"url":"`+url+`/1048576/0"}`)
	wants(t, err, tasks.KindInvalidOutput, "bytes of JSON") // the body fits, with what is said about it the output does not
	if _, err := do(t.Context(), h, `{"url":"`+url+`/104857600/0","method":"HEAD"}`); err != nil {
		t.Errorf("the length of a body that is not sent: %v", err)
	}
}

func TestCompressedBodyMustFit(t *testing.T) {
	h, url := serve(t, func(w nethttp.ResponseWriter, _ *nethttp.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		_, _ = io.WriteString(z, strings.Repeat("\x00", 64<<20))
		_ = z.Close()
	})
	_, err := do(t.Context(), h, `{"url":"`+url+`"}`)
	wants(t, err, tasks.KindInvalidOutput, "too large")
}

func TestSaysJSONAndIsNot(t *testing.T) {
	for _, body := range []string{`{"a":`, "<html>", "{} {}", "\"\xff\""} {
		h, url := serve(t, func(w nethttp.ResponseWriter, _ *nethttp.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, body)
		})
		_, err := do(t.Context(), h, `{"url":"`+url+`"}`)
		wants(t, err, tasks.KindHTTP, "says that it is JSON and is not")
	}
}

func TestNobodyAnswers(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	h := New()
	t.Cleanup(h.Close)
	_, err = do(t.Context(), h, `{"url":"http://me:hidden@`+address+`/"}`)
	wants(t, err, tasks.KindError, "connection refused")
	if strings.Contains(err.Error(), "hidden") {
		t.Errorf("the error shows the password: %v", err)
	}
}

func TestAnswerBreaksOff(t *testing.T) {
	h, url := serve(t, func(w nethttp.ResponseWriter, _ *nethttp.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, "half")
	})
	_, err := do(t.Context(), h, `{"url":"`+url+`"}`)
	wants(t, err, tasks.KindError, "read the answer: unexpected EOF")
}

func TestContextEndsTheRequest(t *testing.T) {
	arrived, left := make(chan struct{}), make(chan struct{})
	h, url := serve(t, func(w nethttp.ResponseWriter, r *nethttp.Request) {
		if r.URL.Path == "/body" {
			w.(nethttp.Flusher).Flush()
		}
		arrived <- struct{}{}
		<-r.Context().Done()
		left <- struct{}{}
	})
	for _, path := range []string{"/header", "/body"} {
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-arrived
			cancel()
		}()
		_, err := do(ctx, h, `{"url":"`+url+path+`","timeout":"1h"}`)
		if !errors.Is(err, context.Canceled) || kindOf(err) != "" {
			t.Errorf("%s: got %v", path, err)
		}
		<-left
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	<-ctx.Done()
	if _, err := do(ctx, h, `{"url":"`+url+`"}`); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestOwnTimeout(t *testing.T) {
	h, url := serve(t, func(w nethttp.ResponseWriter, r *nethttp.Request) {
		if r.URL.Path == "/body" {
			_, _ = io.WriteString(w, "half")
			w.(nethttp.Flusher).Flush()
		}
		<-r.Context().Done()
	})
	for _, path := range []string{"/header", "/body"} {
		_, err := do(t.Context(), h, `{"url":"`+url+path+`","timeout":"50ms"}`)
		wants(t, err, tasks.KindTimeout, "no complete answer within 50ms")
	}
}

func TestModule(t *testing.T) {
	var registry *tasks.Registry
	app := fx.New(fx.NopLogger, tasks.Module, Module, fx.Populate(&registry))
	if err := app.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, url := serve(t, func(nethttp.ResponseWriter, *nethttp.Request) {})
	h, ok := registry.Handler("http")
	if !ok {
		t.Fatalf("registered: %v", registry.Names())
	}
	if _, err := h.Run(t.Context(), &tasks.Call{With: json.RawMessage(`{"url":"` + url + `"}`)}); err != nil {
		t.Error(err)
	}
	if err := app.Stop(t.Context()); err != nil { // goleak sees whether its connection was closed
		t.Error(err)
	}
}
