package wait_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/sluiceworks/sluice/modules/enginetest"
	"github.com/sluiceworks/sluice/modules/events/eventstore"
	"github.com/sluiceworks/sluice/modules/handlers/wait"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/modules/workers"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

const secret = "s3cr3t"

// secretServer responds to each kind of request of TestSecretsOfURLs.
func secretServer(t *testing.T) (base string) {
	t.Helper()
	locations := map[string]string{
		"/loop":   "/loop?sig=" + secret,
		"/bad":    "http://h:" + secret + "/",
		"/scheme": "ftp://me:" + secret + "@h/?sig=" + secret,
		"/away":   "http://me:" + secret + "@127.0.0.1:1/x?sig=" + secret + "#" + secret,
		"/moved":  "/status?sig=" + secret,
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/status":
			w.WriteHeader(http.StatusNotFound)
		case "/slow":
			<-r.Context().Done()
		case "/cut":
			panic(http.ErrAbortHandler)
		case "/fine":
			w.WriteHeader(http.StatusNoContent)
		default:
			w.Header().Set("Location", locations[r.URL.Path])
			w.WriteHeader(http.StatusFound)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// TestSecretsOfURLs checks that nothing that a wait records, outputs or logs contains the user, the password, a value
// of the query or the fragment of its URL or of a redirect's Location.
func TestSecretsOfURLs(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *enginetest.Stack) {
		ctx := context.Background()
		base := strings.Replace(secretServer(t), "://", "://me:"+secret+"@", 1)
		urls := map[string]string{"none": "http://me:" + secret + "@127.0.0.1:1/none"}
		for _, path := range []string{"status", "slow", "cut", "fine", "loop", "bad", "scheme", "away", "moved"} {
			urls[path] = base + "/" + path
		}
		var list []definition.Task
		for name, url := range urls {
			url += "?token=" + secret + "&" + secret + "#" + secret
			list = append(list, task(name, "wait", `{"url": "`+url+
				`", "every": "1m", "for": "2s", "timeout": "100ms"}`))
		}
		core, logs := observer.New(zapcore.DebugLevel)
		work(t, s, zap.New(core))
		id := s.Start(t, ctx, s.Define(t, "services", list...), "")
		e := s.Wait(t, ctx, id)
		texts := recorded(t, s, e)
		for what, text := range texts {
			if strings.Contains(text, secret) {
				t.Errorf("%s: %s", what, text)
			}
		}
		if !strings.Contains(texts["task none"], "GET http://xxxxx@127.0.0.1:1/none?token=xxxxx") {
			t.Error(texts["task none"])
		}
		for name := range urls {
			want := "deferred"
			if name == "fine" {
				want = "completed"
			}
			if types, _ := history(t, s, id, name); !strings.Contains(types, want) {
				t.Errorf("%s: %s, want %s", name, types, want)
			}
		}
		if logs.FilterMessage("a task's attempt failed").Len() == 0 {
			t.Error("no failed attempt was logged")
		}
		encoder := zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig())
		for _, entry := range logs.All() {
			line, err := encoder.EncodeEntry(entry.Entry, entry.Context)
			if err != nil || strings.Contains(line.String(), secret) {
				t.Errorf("log: %v, %s", err, line)
			}
		}
	})
}

// work runs a pool that logs each failed attempt, until the test's end.
func work(t *testing.T, s *enginetest.Stack, log *zap.Logger) {
	t.Helper()
	pool := workers.New(workers.Config{Slots: 4, LogOutcomes: true}, workers.Deps{
		DB: s.DB, Engine: s.Engine, Tasks: s.Tasks, Outbox: s.Outbox, Leases: s.Leases, Handlers: s.Handlers, Log: log,
	})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- pool.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// recorded returns the text of everything that the database holds about an execution and its tasks, except its
// definition, by what it is.
func recorded(t *testing.T, s *enginetest.Stack, e pipelines.Execution) map[string]string {
	t.Helper()
	texts := map[string]any{"the execution": e}
	list, err := s.Tasks.ListByPipeline(context.Background(), e.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range list {
		texts["task "+x.TaskName] = x
	}
	all, err := s.Events.ListByPipeline(context.Background(), e.ID, eventstore.Page{})
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range all {
		texts["event "+x.ID.String()] = x
	}
	const chunks = `SELECT task_execution_id, text FROM {log_chunks}`
	err = s.DB.Query(context.Background(), chunks, nil, func(scan db.Scan) error {
		var id dbtype.ID
		var text string
		err := scan(&id, &text)
		texts["log "+id.String()] = text
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for what, value := range texts {
		text, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		out[what] = string(text)
	}
	return out
}

// TestSecretsOfInvalidURLs checks that no error about an invalid URL contains its secrets, neither at registration
// nor when it is the value of an expression.
func TestSecretsOfInvalidURLs(t *testing.T) {
	t.Parallel()
	w := wait.NewWait()
	t.Cleanup(w.Close)
	for _, url := range []string{
		`"http://h:s3cr3t/"`, `"http://me:s3cr3t@x:port"`, `"http://me:s3cr3t @x"`,
		`"http://me:s3cr3t@x/%zz?token=s3cr3t"`,
		`"ftp://me:s3cr3t@x"`, `"http://me:s3cr3t@"`, `"http://x?sig=s3cr3t\u0001"`,
		`["http://me:s3cr3t@x"]`, `{"s3cr3t": "s3cr3t"}`,
	} {
		raw := `{"url": ` + url + `}`
		var with map[string]any
		if err := json.Unmarshal([]byte(raw), &with); err != nil {
			t.Fatal(err)
		}
		_, err := w.Run(t.Context(), &tasks.Attempt{With: json.RawMessage(raw), Now: time.Now, FirstStarted: now})
		for _, err := range []error{w.Check(with), err} {
			if err == nil || !strings.Contains(err.Error(), "with.url") || strings.Contains(err.Error(), secret) {
				t.Errorf("%s: %v", url, err)
			}
		}
	}
}
