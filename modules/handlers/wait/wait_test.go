package wait_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluiceworks/sluice/modules/enginetest"
	"github.com/sluiceworks/sluice/modules/handlers/wait"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/modules/workers"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
)

// TestWaitForFile checks that the handler polls until the file exists, in one attempt, and outputs how long it
// waited.
func TestWaitForFile(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *enginetest.Stack) {
		ctx := context.Background()
		path := filepath.Join(t.TempDir(), "parcel")
		with, err := json.Marshal(map[string]string{"file": path, "every": "100ms", "for": "1h"})
		if err != nil {
			t.Fatal(err)
		}
		s.Work(t, ctx, workers.Config{Slots: 1})
		id := s.Start(t, ctx, s.Define(t, "post", task("parcel", "wait", string(with))), "")
		dbtest.Eventually(t, "a second look",
			func() bool { types, _ := history(t, s, id, "parcel"); return strings.Count(types, "deferred") >= 2 })
		_, list := history(t, s, id, "parcel")
		if why := field(t, list[4], "reason"); why != `file "`+path+`" is not there yet` {
			t.Errorf("reason: %v", why)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if e := s.Wait(t, ctx, id); e.Status != pipelines.Completed {
			t.Fatalf("status %s", e.Status)
		}
		x := read(t, s, id, "parcel")
		var out struct {
			WaitedMS int64 `json:"waited_ms"`
		}
		if err := json.Unmarshal(x.Output, &out); err != nil {
			t.Fatal(err)
		}
		if x.Attempt != 1 || out.WaitedMS < 100 {
			t.Errorf("attempt %d, waited %d ms", x.Attempt, out.WaitedMS)
		}
	})
}

// TestWaitForURL checks that the handler keeps waiting after an unexpected response or none, and follows a redirect
// that is not expected.
func TestWaitForURL(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *enginetest.Stack) {
		ctx := context.Background()
		var asked atomic.Int64
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			user, password, _ := r.BasicAuth()
			switch {
			case r.URL.Path == "/elsewhere":
				w.WriteHeader(http.StatusNoContent)
			case user != "me" || password != "secret":
				w.WriteHeader(http.StatusUnauthorized)
			case asked.Add(1) == 1:
				w.WriteHeader(http.StatusServiceUnavailable)
			default:
				http.Redirect(w, r, "/elsewhere", http.StatusFound)
			}
		}))
		t.Cleanup(server.Close)
		url := strings.Replace(server.URL, "http://", "http://me:secret@", 1)
		def := s.Define(t, "services", task("up", "wait", `{"url": "`+url+`", "every": "100ms"}`),
			task("moved", "wait", `{"url": "`+url+`", "every": "100ms", "expect_status": [302, 307]}`),
			task("gone", "wait",
				`{"url": "http://me:secret@127.0.0.1:1/", "every": "100ms", "for": "150ms", "timeout": "5s"}`))
		s.Work(t, ctx, workers.Config{Slots: 1})
		id := s.Start(t, ctx, def, "")
		if e := s.Wait(t, ctx, id); e.Status != pipelines.Failed {
			t.Fatalf("status %s", e.Status)
		}
		for name, status := range map[string]string{"up": `"status":204`, "moved": `"status":302`} {
			if x := read(t, s, id, name); x.Status != tasks.Completed ||
				!strings.Contains(strings.ReplaceAll(string(x.Output), " ", ""), status) {
				t.Errorf("%s is %s with %s, want %s", name, x.Status, x.Output, status)
			}
		}
		gone := read(t, s, id, "gone")
		if gone.Status != tasks.Failed ||
			!strings.Contains(string(gone.Error), "waited 150ms in vain: GET http://xxxxx@127.0.0.1:1/: ") {
			t.Errorf("gone is %s: %s", gone.Status, gone.Error)
		}
		if list, _ := history(t, s, id, "up"); asked.Load() < 2 || !strings.Contains(list, "completed") {
			t.Errorf("asked %d times", asked.Load())
		}
	})
}

// TestWaitLimit checks that the time of `for` counts from the first start, whichever worker claims the task, and that
// no attempt follows when it has elapsed.
func TestWaitLimit(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, first *enginetest.Stack) {
		ctx := context.Background()
		parcel := task("parcel", "wait", `{"file": "/nowhere/parcel", "every": "1m", "for": "8s"}`)
		parcel.Retry = tasks.RetryPolicy{MaxAttempts: 3, Backoff: tasks.Fixed, Delay: time.Millisecond}
		id := first.Start(t, ctx, first.Define(t, "post", parcel), "")
		stop := first.Work(t, ctx, workers.Config{Slots: 1})
		dbtest.Eventually(t, "the first look",
			func() bool { return read(t, first, id, "parcel").SubStatus == tasks.Deferred })
		stop()
		dieWith(t, first, "wait") // the first handler could have kept the start in memory
		w := wait.NewWait()
		t.Cleanup(w.Close)
		second := enginetest.New(t, first.DB, w)
		second.Work(t, ctx, workers.Config{Slots: 1})
		if e := second.Wait(t, ctx, id); e.Status != pipelines.Failed {
			t.Fatalf("status %s", e.Status)
		}
		types, list := history(t, first, id, "parcel")
		want := "created marked_ready claimed started deferred claimed resumed started reset claimed started failed"
		if types != want {
			t.Fatalf("history: %s", types)
		}
		failed := list[len(list)-1]
		if kind, text := field(t, failed, "error_kind"), field(t, failed, "error"); kind != "timeout" ||
			text != `waited 8s in vain: file "/nowhere/parcel" is not there yet` {
			t.Errorf("failed with %v: %v", kind, text)
		}
		resume, err := time.Parse(time.RFC3339, field(t, list[4], "resume_at").(string))
		if err != nil {
			t.Fatal(err)
		}
		if began := list[3].CreatedAt.Time; !resume.Equal(began.Add(8 * time.Second)) {
			t.Errorf("began at %s, the last look is at %s", began, resume)
		}
	})
}

// TestRetryBeginsAnew checks that an operator's retry of a task that timed out waits for the whole time again.
func TestRetryBeginsAnew(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *enginetest.Stack) {
		ctx := context.Background()
		def := s.Define(t, "post", task("parcel", "wait", `{"file": "/nowhere/parcel", "every": "2s", "for": "2s"}`))
		s.Work(t, ctx, workers.Config{Slots: 1})
		order := engine.ControlRequest{ID: s.Start(t, ctx, def, ""), Actor: "test"}
		s.Wait(t, ctx, order.ID)
		if err := s.Engine.Retry(ctx, order, ""); err != nil {
			t.Fatal(err)
		}
		s.Wait(t, ctx, order.ID)
		const once = "marked_ready claimed started deferred claimed resumed started failed"
		if types, _ := history(t, s, order.ID, "parcel"); types != "created "+once+" reset "+once {
			t.Errorf("history: %s", types)
		}
	})
}

// TestWaitEnds checks that the end of the context ends a request without a response, and that the request's own
// timeout only counts as an unsuccessful poll.
func TestWaitEnds(t *testing.T) {
	t.Parallel()
	asked, done := make(chan struct{}, 8), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		select {
		case <-r.Context().Done():
		case <-done:
		}
	}))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(done) })
	w := wait.NewWait()
	t.Cleanup(w.Close)
	call := &tasks.Attempt{
		With: json.RawMessage(`{"url": "` + server.URL + `", "timeout": "50ms"}`), Now: time.Now,
		FirstStarted: func(context.Context) (time.Time, error) { return time.Now(), nil },
	}
	_, err := w.Run(t.Context(), call)
	if err == nil || !strings.Contains(err.Error(), "did not answer within 50ms") ||
		!strings.HasPrefix(err.Error(), "deferred until ") {
		t.Errorf("its own timeout: %v", err)
	}
	call.With = json.RawMessage(`{"url": "` + server.URL + `"}`)
	ctx, cancel := context.WithCancel(t.Context())
	<-asked
	go func() {
		<-asked
		cancel()
	}()
	if _, err := w.Run(ctx, call); err == nil || !strings.Contains(err.Error(), context.Canceled.Error()) {
		t.Errorf("the end of the context: %v", err)
	}
}
