package http

import (
	"context"
	"encoding/json"
	"errors"
	nethttp "net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/sluiceworks/sluice/modules/tasks"
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

// do runs a task whose `with` is the given JSON. The run's directory is the working directory.
func do(ctx context.Context, h *Handler, with string) (json.RawMessage, error) {
	dir, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	return h.Run(ctx, &tasks.Attempt{With: json.RawMessage(with), RunDir: dir, MakeRunDir: func() error { return nil }})
}

func kindOf(err error) tasks.ErrorKind {
	var kinded *tasks.HandlerError
	if errors.As(err, &kinded) {
		return kinded.Kind
	}
	return ""
}

// wants fails the test unless err has the kind and contains the text.
func wants(t *testing.T, err error, kind tasks.ErrorKind, text string) {
	t.Helper()
	if err == nil || kindOf(err) != kind || !strings.Contains(err.Error(), text) {
		t.Errorf("got %v of kind %q, want %q of kind %q", err, kindOf(err), text, kind)
	}
}
