package app_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// opened is a run that completes when a file exists, and fails when another one exists.
const opened = `name: gate
input: {to: {type: string, default: open}}
tasks:
  - {id: a, run: "until test -e '%[1]s/open' -o -e '%[1]s/bad'; do sleep 0.02; done; test ! -e '%[1]s/bad'"}
`

// TestWait checks that wait ends when all executions have ended: with 0 if all completed, with 1 if one did not, and
// with 124 when its time is over.
func TestWait(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		dir := t.TempDir()
		path := file(t, "gate.yaml", fmt.Sprintf(opened, dir))
		create := func(name string) {
			if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		ids := strings.Fields(p.ok(t, "start", path, "--count", "3"))
		p.fails(t, 124, []string{"the time is over: 2 of 2 executions have not ended"}, "wait", ids[0], "latest",
			"--timeout", "50ms")
		r := p.run(t, "wait", ids[0], "--timeout", "50ms", "-o", "json")
		late := decode[listing[execution]](t, r.stdout).Items
		failure := decode[struct{ Error struct{ Code int } }](t, r.stderr)
		if r.code != 124 || failure.Error.Code != 124 || len(late) != 1 || late[0].Status != "Running" {
			t.Errorf("too late: exit code %d, %+v, %+v", r.code, failure, late)
		}
		waiting := p.begin(t, append([]string{"wait"}, ids...)...)
		serve := p.begin(t, "serve")
		create("open")
		done := waiting.wait(t)
		if done.code != 0 || strings.Count(done.stdout, "gate Completed in ") != 3 {
			t.Errorf("exit code %d\n%s%s", done.code, done.stdout, done.stderr)
		}
		create("bad")
		failing := p.start(t, path)
		r = p.run(t, "wait", failing, ids[0], "-o", "json")
		list := decode[listing[execution]](t, r.stdout).Items
		if r.code != 1 || len(list) != 2 || list[0].Status != "Failed" || list[0].Error == nil ||
			list[1].Status != "Completed" {
			t.Errorf("one failed: exit code %d, %+v\n%s", r.code, list, r.stderr)
		}
		serve.stop(t)
		cancelled := p.start(t, path)
		waiting = p.begin(t, "wait", "latest")
		p.ok(t, "cancel", cancelled)
		if done = waiting.wait(t); done.code != 1 || !strings.Contains(done.stdout, cancelled+" gate Cancelled") {
			t.Errorf("a cancelled one: exit code %d\n%s", done.code, done.stdout)
		}
		p.fails(t, 3, []string{"no such pipeline execution: " + nobody}, "wait", nobody)
		p.fails(t, 2, []string{"needs the id of an execution"}, "wait")
		waiting = p.begin(t, "wait", p.start(t, path))
		if done = waiting.stop(t); done.code != 130 {
			t.Errorf("interrupted: exit code %d\n%s", done.code, done.stderr)
		}
	})
}
