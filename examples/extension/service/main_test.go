package main

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"example.com/orders/orders"
	"github.com/sluiceworks/sluice/modules/pipelines"
)

func TestService(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	base := "http://" + listener.Addr().String()
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() {
		served <- serve(ctx, "sqlite://"+filepath.Join(t.TempDir(), "orders.db"), orders.FakeBank{}, listener)
	}()
	first := request(t, "POST", base+"/orders", `{"items": [{"name": "tea", "count": 2}]}`)
	again := request(t, "POST", base+"/orders", `{"items": [{"name": "tea", "count": 2}]}`)
	if first.StatusCode != http.StatusAccepted || first.Header.Get("Location") != again.Header.Get("Location") {
		t.Fatalf("%v %v", first, again)
	}
	for body, want := range map[string]int{
		`{"items": 1}`: http.StatusUnprocessableEntity, `{"items": []}`: http.StatusConflict,
		`{`: http.StatusBadRequest,
	} {
		if r := request(t, "POST", base+"/orders", body); r.StatusCode != want {
			t.Errorf("%s: %s, expected %d", body, r.Status, want)
		}
	}
	r := request(t, "GET", base+first.Header.Get("Location"), "")
	var run pipelines.Execution
	if err := json.NewDecoder(r.Body).Decode(&run); err != nil || run.Status != pipelines.Completed {
		t.Errorf("%+v %v", run, err)
	}
	stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// request sends a request with the key of one order.
func request(t *testing.T, method, url, body string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Idempotency-Key", "order 4711")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	response.Body = io.NopCloser(strings.NewReader(string(content)))
	return response
}
