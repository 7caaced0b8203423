package app_test

import (
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"go.uber.org/fx"

	"github.com/sluiceworks/sluice/platform/db/dbtest"
)

var listening = regexp.MustCompile(`"listen":"(127\.0\.0\.1:\d+)"`)

// ask queries a server that listens. It returns the status, or 0 if there is no server, and the body.
func ask(t *testing.T, address, path string) (int, string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + address + path)
	if err != nil {
		return 0, err.Error()
	}
	body, err := io.ReadAll(resp.Body)
	if closing := resp.Body.Close(); err != nil || closing != nil {
		t.Fatal(err, closing)
	}
	return resp.StatusCode, string(body)
}

// TestServeListens checks that a server is ready while it claims tasks, alive and not ready while it drains, and gone
// when it has ended.
func TestServeListens(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		g := newGate()
		p.extensions = []fx.Option{g.option()}
		id := p.start(t, file(t, "gated.yaml", gated))
		serve := p.begin(t, "serve", "--workers", "1", "--listen", ":0")
		<-g.begun
		m := listening.FindStringSubmatch(serve.stderr.String())
		if m == nil {
			t.Fatalf("it does not say where it listens:\n%s", serve.stderr.String())
		}
		if status, body := ask(t, m[1], "/readyz"); status != http.StatusOK || !strings.Contains(body, `"ready":true`) {
			t.Errorf("/readyz: %d %s", status, body)
		}
		if status, body := ask(t, m[1], "/metrics"); status != http.StatusOK ||
			!strings.Contains(body, "\nsluice_tasks_claimed_total{tenant=\"default\"} 1\n") ||
			!strings.Contains(body, "\nsluice_slots{state=\"used\"} 1\n") {
			t.Errorf("/metrics: %d %s", status, body)
		}
		serve.interrupt()
		dbtest.Eventually(t, "it is not ready",
			func() bool { status, _ := ask(t, m[1], "/readyz"); return status == http.StatusServiceUnavailable })
		if status, body := ask(t, m[1], "/livez"); status != http.StatusOK || body != "ok\n" {
			t.Errorf("/livez: %d %s", status, body)
		}
		g.open <- nil
		if r := serve.wait(t); r.code != 0 {
			t.Errorf("exit code %d\n%s", r.code, r.stderr)
		}
		if status, _ := ask(t, m[1], "/livez"); status != 0 {
			t.Errorf("it still listens: %d", status)
		}
		p.ok(t, "cancel", id)
	})
}

// TestServeRefusesToListen checks that an invalid or used address ends the server before it has claimed any task.
func TestServeRefusesToListen(t *testing.T) {
	t.Parallel()
	p := &program{url: dbtest.SQLiteURL(t)}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := taken.Close(); err != nil {
			t.Error(err)
		}
	})
	address := taken.Addr().String()
	p.fails(t, 2, []string{"cannot listen on " + address + ": bind: address already in use", "--listen"}, "serve",
		"--listen", address)
	p.fails(t, 2, []string{`invalid port "http": must be from 0 to 65535`}, "serve", "--listen", ":http")
	p.fails(t, 2, []string{"expected an address such as :8080"}, "serve", "--listen", "a:b:c")
	contains(t, p.run(t, "workers").stderr, "no workers")
}
