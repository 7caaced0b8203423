package app_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluiceworks/sluice/platform/db/dbtest"
)

const limited = `
name: limited
timeout: 1s
tasks:
  - {id: long, run: 'echo $$ > "${{ input.pid }}"; exec sleep 60'}
  - {id: after, needs: [long], trigger_rule: always, run: "true"}
input: {pid: string}
`

// TestRunTimesOut checks that the pipeline's timeout ends the run and its command, and that the progress and the exit
// code report it.
func TestRunTimesOut(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		path := file(t, "limited.yaml", limited)
		pid := filepath.Join(t.TempDir(), "pid")
		began := time.Now()
		r := p.run(t, "run", path, "--set", "pid="+pid)
		if r.code != 1 {
			t.Errorf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
		}
		if took := time.Since(began); took > 30*time.Second {
			t.Errorf("the run ended after %s", took)
		}
		contains(t, r.stdout, "limited Failed in ", "2 Abandoned", "pipeline timeout of 1s is over")
		contains(t, r.stderr, "long abandoned", "pipeline timeout of 1s is over")
		if b, err := os.ReadFile(pid); err != nil || strings.TrimSpace(string(b)) == "" {
			t.Errorf("the command has not begun: %q, %v", b, err)
		} else if _, err := os.Stat("/proc/" + strings.TrimSpace(string(b))); err == nil {
			t.Errorf("the command still runs")
		}
	})
}

// TestServerTimesOutRunOfAnother kills the server of a run, and checks that another one ends the run after its
// timeout.
func TestServerTimesOutRunOfAnother(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		path := file(t, "limited.yaml", strings.Replace(limited, "timeout: 1s", "timeout: 4s", 1))
		pid := filepath.Join(t.TempDir(), "pid")
		first, _ := p.process(t, "serve")
		id := strings.TrimSpace(p.ok(t, "start", path, "--set", "pid="+pid))
		dbtest.Eventually(t, "the command runs",
			func() bool { b, err := os.ReadFile(pid); return err == nil && len(b) > 0 })
		contains(t, p.ok(t, "show", id), "timeout    ends the run at ")
		kill(t, first)
		p.process(t, "serve")
		r := p.run(t, "wait", id, "--timeout", "40s")
		if r.code != 1 {
			t.Errorf("wait: %+v", r)
		}
		contains(t, p.ok(t, "show", id), "pipeline timeout of 4s is over")
	})
}
