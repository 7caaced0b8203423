package app_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluiceworks/sluice/platform/db/dbtest"
	"go.uber.org/fx"
)

// TestServe: it registers what a directory holds, works on what is started by name, drains, and says so.
func TestServe(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		g := newGate()
		p.extensions = []fx.Option{g.option()}
		dir := t.TempDir()
		for name, text := range map[string]string{"gated.yaml": gated, "small.yml": "name: small\ntasks: [{id: a, run: \"true\"}]\n", "notes.txt": "no pipeline"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		serve := p.begin(t, "serve", "--pipelines", dir, "--workers", "3", "--lease", "5s")
		dbtest.Eventually(t, "serving", func() bool { return strings.Contains(serve.stderr.String(), `"msg":"serving"`) })
		contains(t, serve.stderr.String(), `"pipelines":2`, `"workers":3`, `"lease":"5s"`)
		if strings.Contains(serve.stderr.String(), "password") {
			t.Errorf("the log tells the password:\n%s", serve.stderr.String())
		}
		small := p.start(t, "small")
		dbtest.Eventually(t, "the run completes", func() bool { return p.show(t, small).Execution.Status == "Completed" })
		held := p.start(t, "gated")
		<-g.begun
		serve.interrupt()
		dbtest.Eventually(t, "draining", func() bool { return strings.Contains(serve.stderr.String(), "stopping") })
		g.open <- nil // what runs may end
		if r := serve.wait(t); r.code != 0 || !strings.Contains(r.stderr, `"msg":"stopped"`) {
			t.Errorf("exit code %d\n%s", r.code, r.stderr)
		}
		got := p.show(t, held).statuses()
		if got["first"] != "Completed" || got["second"] != "Ready" {
			t.Errorf("after the drain: %v", got)
		}
	})
}

// TestServeGivesBack: what does not end within the drain is given back, and is nobody's fault.
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

// TestServeRefuses: the mistakes of all files at once, and names that are taken.
func TestServeRefuses(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		dir := t.TempDir()
		for name, text := range map[string]string{
			"a.yaml": "name: one\ntasks: [{id: a, run: \"true\"}]\n", "b.yaml": "name: one\ntasks: [{id: a, run: \"true\"}]\n",
			"c.yaml": "name: two\n", "d.yml": "name: three\ntasks: [{id: a, uses: shel}]\n",
		} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		p.fails(t, 2, []string{
			`b.yaml:1:1: the pipeline "one" is defined in ` + filepath.Join(dir, "a.yaml") + " already", "c.yaml:1:1: the pipeline has no tasks",
			`d.yml:2:23: there is no handler "shel"`,
		}, "serve", "--pipelines", dir)
		p.fails(t, 3, []string{"no such pipeline"}, "start", "one")
	})
}

// TestLostWorker: a worker whose lease has run out loses its task to another, and the attempt is told as lost.
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
