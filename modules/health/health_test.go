package health_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/sluiceworks/sluice/modules/audit/audittest"
	"github.com/sluiceworks/sluice/modules/enginetest"
	"github.com/sluiceworks/sluice/modules/events/eventstore"
	"github.com/sluiceworks/sluice/modules/health"
	"github.com/sluiceworks/sluice/modules/outbox"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/modules/workers"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// listen starts a server on a free port for the duration of the test.
func listen(t *testing.T, d *db.DB, address string, log *zap.Logger) *health.Server {
	t.Helper()
	s, err := health.Listen(t.Context(), address, health.Deps{
		DB: d, Outbox: outbox.NewRepository(d),
		Pipelines: engine.NewRepository(d, eventstore.NewRepository(d)), Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// get requests a path from the server and returns the status and the body.
func get(t *testing.T, s *health.Server, path string) (status int, body string) {
	t.Helper()
	resp, err := http.Get("http://" + s.Addr().String() + path)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := io.ReadAll(resp.Body)
	if closing := resp.Body.Close(); err != nil || closing != nil {
		t.Fatal(err, closing)
	}
	return resp.StatusCode, string(raw)
}

// ready returns the failed checks of /readyz with their reasons.
func ready(t *testing.T, s *health.Server) map[string]string {
	t.Helper()
	status, body := get(t, s, "/readyz")
	var report health.Report
	if err := json.Unmarshal([]byte(body), &report); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	failing, names := map[string]string{}, []string{}
	for _, c := range report.Checks {
		names = append(names, c.Name)
		if !c.OK {
			failing[c.Name] = c.Reason
		}
	}
	if diff := cmp.Diff([]string{"database", "schema", "lease", "start", "accepting"}, names); diff != "" {
		t.Errorf("checks: %s", diff)
	}
	if report.Ready != (status == http.StatusOK) || report.Ready != (len(failing) == 0) || !report.Ready &&
		status != http.StatusServiceUnavailable {
		t.Errorf("status %d with %s", status, body)
	}
	return failing
}

// TestReadyThroughALife checks that a process is not ready before the worker has its lease, ready while it has, and
// not ready while it drains, and that it is alive throughout.
func TestReadyThroughALife(t *testing.T) {
	audittest.Each(t, func(t *testing.T, d *db.DB) {
		s := listen(t, d, "127.0.0.1:0", zap.NewNop())
		if diff := cmp.Diff(map[string]string{"lease": "not yet registered"}, ready(t, s)); diff != "" {
			t.Error(diff)
		}
		pool := enginetest.New(t, d).Pool(workers.Config{Slots: 1, Observer: s.Observer(db.DefaultTenant)})
		s.Watch(db.DefaultTenant, pool)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- pool.Run(ctx) }()
		dbtest.Eventually(t, "ready", func() bool { return len(ready(t, s)) == 0 })
		s.Drain()
		if diff := cmp.Diff(map[string]string{"accepting": "the process is stopping"}, ready(t, s)); diff != "" {
			t.Error(diff)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if status, body := get(t, s, "/livez"); status != http.StatusOK || body != "ok\n" {
			t.Errorf("/livez: %d %q", status, body)
		}
	})
}

// TestNotReadyWithoutLease checks that a pool that cannot renew its lease reports it as expired without a query.
func TestNotReadyWithoutLease(t *testing.T) {
	audittest.Each(t, func(t *testing.T, d *db.DB) {
		s := listen(t, d, "127.0.0.1:0", zap.NewNop())
		pool := enginetest.New(t, d).Pool(workers.Config{Slots: 1, Lease: 200 * time.Millisecond})
		s.Watch(db.DefaultTenant, pool)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- pool.Run(ctx) }()
		dbtest.Eventually(t, "ready", func() bool { return len(ready(t, s)) == 0 })
		cancel()
		if err := <-done; err != nil { // it no longer renews
			t.Fatal(err)
		}
		dbtest.Eventually(t, "expired", func() bool { return ready(t, s)["lease"] == "expired" })
	})
}

// TestNotReadyWithoutSchema checks that an empty database is reported as behind.
func TestNotReadyWithoutSchema(t *testing.T) {
	dbtest.EachEmpty(t, func(t *testing.T, url string) {
		s := listen(t, dbtest.Open(t, url), "127.0.0.1:0", zap.NewNop())
		if got := ready(t, s); got["schema"] != "behind this binary: run `sluice migrate`" || got["database"] != "" {
			t.Errorf("empty: %v", got)
		}
	})
}

// TestNotReadyWithoutDatabase checks that an unreachable database is distinguished from one that is behind, and that
// a scrape then lacks only the metrics that need it. It uses PostgreSQL alone, because a SQLite file is opened on
// demand.
func TestNotReadyWithoutDatabase(t *testing.T) {
	t.Parallel()
	d, err := db.Open(t.Context(), dbtest.PostgresURL(t))
	if err != nil {
		t.Fatal(err)
	}
	s := listen(t, d, "127.0.0.1:0", zap.NewNop())
	s.Watch(db.DefaultTenant, enginetest.New(t, d).Pool(workers.Config{Observer: s.Observer(db.DefaultTenant)}))
	if got := ready(t, s); got["database"] != "" || got["schema"] != "" {
		t.Errorf("open: %v", got)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if got := ready(t, s); got["database"] != "unreachable" || got["schema"] != "unknown" {
		t.Errorf("closed: %v", got)
	}
	status, body := get(t, s, "/metrics")
	if status != http.StatusOK || strings.Contains(body, "\nsluice_outbox_pending{") ||
		!strings.Contains(body, "\nsluice_tasks_claimed_total{tenant=\"default\"} 0") {
		t.Errorf("/metrics of a closed database: %d\n%s", status, body)
	}
}

func TestAddress(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		":8080": "127.0.0.1:8080", "8080": "127.0.0.1:8080", "0": "127.0.0.1:0", "0.0.0.0:80": "0.0.0.0:80",
		"[::1]:80":        "[::1]:80",
		"localhost:65535": "localhost:65535",
	} {
		if got, err := health.Address(in); err != nil || got != want {
			t.Errorf("%q: %q, %v, want %q", in, got, err, want)
		}
	}
	for _, in := range []string{"", ":", "host", "host:", ":http", ":65536", ":-1", ":080", "::1:80", "a:b:c"} {
		if got, err := health.Address(in); err == nil {
			t.Errorf("%q is taken for %q", in, got)
		}
	}
}

// TestListen checks that a port in use is reported as such, that an address reachable from other machines logs a
// warning, and that only GET is served.
func TestListen(t *testing.T) {
	t.Parallel()
	d := dbtest.SQLite(t)
	core, logs := observer.New(zapcore.WarnLevel)
	s := listen(t, d, "0.0.0.0:0", zap.New(core))
	if logs.FilterMessageSnippet("open to other machines").Len() != 1 {
		t.Errorf("log: %+v", logs.All())
	}
	_, port, err := net.SplitHostPort(s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_, err = health.Listen(t.Context(), "0.0.0.0:"+port, health.Deps{
		DB: d, Outbox: outbox.NewRepository(d),
		Pipelines: engine.NewRepository(d, eventstore.NewRepository(d)), Log: zap.NewNop(),
	})
	if !errors.Is(err, health.ErrAddress) || err.Error() != "cannot listen on 0.0.0.0:"+port+
		": bind: address already in use" {
		t.Errorf("a taken port: %v", err)
	}
	for _, path := range []string{"/", "/livez/", "/debug/pprof/"} {
		if status, _ := get(t, s, path); status != http.StatusNotFound {
			t.Errorf("%s: %d", path, status)
		}
	}
	resp, err := http.Post("http://127.0.0.1:"+port+"/readyz", "text/plain", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil || resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d, %v", resp.StatusCode, err)
	}
}
