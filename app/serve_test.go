package app_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluiceworks/sluice/platform/db/dbtest"
	"go.uber.org/fx"
)

// TestServe checks that serve registers a directory, works on runs started by name, and drains. While it drains,
// nothing counts it as a worker that would claim a task.
func TestServe(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		g := newGate()
		p.extensions = []fx.Option{g.option()}
		dir := t.TempDir()
		for name, text := range map[string]string{
			"gated.yaml": gated,
			"small.yml":  "name: small\ntasks: [{id: a, run: \"true\"}]\n", "notes.txt": "no pipeline",
		} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		serve := p.begin(t, "serve", "--pipelines", dir, "--workers", "3", "--lease", "5s")
		dbtest.Eventually(t, "serving",
			func() bool { return strings.Contains(serve.stderr.String(), `"msg":"serving"`) })
		contains(t, serve.stderr.String(), `"pipelines":2`, `"workers":3`, `"lease":"5s"`)
		if strings.Contains(serve.stderr.String(), "password") {
			t.Errorf("the log tells the password:\n%s", serve.stderr.String())
		}
		small := p.start(t, "small")
		dbtest.Eventually(t, "the run completes",
			func() bool { return p.show(t, small).Execution.Status == "Completed" })
		held := p.start(t, "gated")
		<-g.begun
		serve.interrupt()
		dbtest.Eventually(t, "draining", func() bool { return strings.Contains(serve.stderr.String(), "stopping") })
		waiting := p.start(t, "small")
		drains := func() bool {
			list := decode[listing[workerRow]](t, p.ok(t, "workers", "-o", "json")).Items
			return len(list) == 1 && list[0].Alive && list[0].Draining && list[0].SlotsUsed == 1
		}
		dbtest.Eventually(t, "it is marked as draining", drains)
		contains(t, p.ok(t, "workers"), "draining, ends in ", "gated/first for ")
		contains(t, p.ok(t, "doctor"), "1 alive, of them 1 draining, 0 with an expired lease",
			"of those due no live worker serves 1")
		contains(t, p.ok(t, "show", waiting),
			"no live worker serves handler \"shell\" (1 draining): start `sluice serve`")
		g.open <- nil // running tasks may end
		if r := serve.wait(t); r.code != 0 || !strings.Contains(r.stderr, `"msg":"stopped"`) {
			t.Errorf("exit code %d\n%s", r.code, r.stderr)
		}
		got := p.show(t, held).statuses()
		if got["first"] != "Completed" || got["second"] != "Ready" {
			t.Errorf("after the drain: %v", got)
		}
	})
}

// TestServeGivesBack checks that tasks that do not end within the drain are released, without an error.
func TestServeGivesBack(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		g := newGate()
		p.extensions = []fx.Option{g.option()}
		id := p.start(t, file(t, "gated.yaml", gated))
		serve := p.begin(t, "serve", "--drain", "0")
		<-g.begun
		if r := serve.stop(t); r.code != 0 {
			t.Errorf("exit code %d\n%s", r.code, r.stderr)
		}
		doc := p.show(t, id)
		if doc.statuses()["first"] != "Ready" || len(doc.Attempts) != 1 || doc.Attempts[0].Status != "Released" {
			t.Errorf("%v, attempts %+v", doc.statuses(), doc.Attempts)
		}
	})
}

// TestLostWorker checks that another worker recovers the task of a worker whose lease has expired, and that the
// attempt is shown as lost.
func TestLostWorker(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		dead := newGate()
		dead.heeds = false
		first := &program{url: p.url, extensions: []fx.Option{dead.option()}}
		id := p.withGate(newGate()).start(t, file(t, "gated.yaml", gated))
		held := first.begin(t, "serve", "--lease", "1h", "--drain", "0")
		<-dead.begun
		expire(t, p.url)
		alive := newGate()
		second := p.withGate(alive)
		serve := second.begin(t, "serve", "--lease", "500ms")
		<-alive.begun
		alive.open <- nil
		<-alive.begun
		alive.open <- nil
		dbtest.Eventually(t, "the run completes", func() bool { return p.show(t, id).Execution.Status == "Completed" })
		serve.stop(t)
		dead.open <- nil // too late
		held.stop(t)
		doc := p.show(t, id)
		if doc.Attempts[0].Status != "Lost" || doc.Attempts[1].Status != "Completed" {
			t.Errorf("attempts: %+v", doc.Attempts)
		}
		contains(t, p.ok(t, "show", id), "first attempt 1 Lost", "its worker was lost")
	})
}

func (p *program) withGate(g *gate) *program {
	return &program{url: p.url, extensions: []fx.Option{g.option()}}
}
