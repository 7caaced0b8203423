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
	"strings"
	"testing"
	"time"

	"go.uber.org/fx"

	"github.com/sluiceworks/sluice/modules/tasks"
)

func TestBodyMustFit(t *testing.T) {
	h, url := serve(t, func(w nethttp.ResponseWriter, r *nethttp.Request) {
		var size, flush int
		if _, err := fmt.Sscanf(r.URL.Path, "/%d/%d", &size, &flush); err != nil {
			t.Error(err)
		}
		if flush == 1 {
			w.(nethttp.Flusher).Flush() // so that the response has no Content-Length
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
	wants(t, err, tasks.KindInvalidOutput, "bytes of JSON") // the body fits, but the output around it does not
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
	if _, err := h.Run(t.Context(), &tasks.Attempt{With: json.RawMessage(`{"url":"` + url + `"}`)}); err != nil {
		t.Error(err)
	}
	if err := app.Stop(t.Context()); err != nil { // goleak reports the connection if it was not closed
		t.Error(err)
	}
}
