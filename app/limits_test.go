package app_test

import (
	"slices"
	"strings"
	"testing"

	"go.uber.org/fx"

	"github.com/sluiceworks/sluice/platform/db/dbtest"
)

// TestHandlerLimitMistakes checks that each mistake is reported as wrong usage, with a correction, before anything is
// served.
func TestHandlerLimitMistakes(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		for arg, words := range map[string][]string{
			"shel=3":    {`unknown handler "shel"`, `did you mean "shell"`},
			"nothing=1": {`unknown handler "nothing"`, "the handlers are http, shell, sleep, wait"},
			"shell":     {"expected a handler and a whole number from 1, such as shell=64"},
			"shell=":    {"expected a handler and a whole number from 1"},
			"shell=0":   {"expected a handler and a whole number from 1"},
			"=3":        {"expected a handler and a whole number from 1"},
			"shell=-1":  {"expected a handler and a whole number from 1"},
			"shell=1,":  {"expected a handler and a whole number from 1"},
		} {
			r := p.run(t, "serve", "--handler-limit", arg)
			if r.code != 2 || strings.Contains(r.stderr, "serving") {
				t.Errorf("%s: exit code %d\n%s", arg, r.code, r.stderr)
			}
			contains(t, r.stderr, words...)
		}
	})
}

// limitedRow is what workers prints about limits.
type limitedRow struct {
	Slots     int    `json:"slots"`
	SlotsUsed int    `json:"slots_used"`
	Limits    string `json:"limits"`
}

// TestFullHandlerIsTold checks that a task that waits because its handler is at its limit in all workers says so,
// that a task of another handler runs, and that the workers' limits are shown: the handlers' own, unless the flag
// sets others.
func TestFullHandlerIsTold(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		g := newGate()
		p.extensions = []fx.Option{g.option()}
		serve := p.begin(t, "serve", "--handler-limit", "gate=1", "--handler-limit", "http=7,wait=5")
		rows := func() []limitedRow { return decode[listing[limitedRow]](t, p.ok(t, "workers", "-o", "json")).Items }
		dbtest.Eventually(t, "serving", func() bool { return len(rows()) == 1 })
		if w := rows()[0]; w.Limits != "gate=1,http=7,shell=64,wait=5" || w.Slots != 1000 {
			t.Errorf("%+v", w)
		}
		contains(t, p.ok(t, "workers"), "gate=1,http=7,shell=64,wait=5", "0/1000")
		id := p.start(t, file(t, "wide.yaml",
			"name: wide\ntasks: [{id: a, uses: gate}, {id: b, uses: gate}, {id: c, run: \"true\"}]"))
		<-g.begun
		dbtest.Eventually(t, "the command runs", func() bool { return p.show(t, id).statuses()["c"] == "Completed" })
		reason := "due: waiting for a free place for gate (1 of 1 taken in 1 worker: `serve --handler-limit gate=N` " +
			"changes that)"
		contains(t, p.ok(t, "show", id), reason)
		contains(t, p.ok(t, "outbox"), reason)
		second := p.begin(t, "serve", "--workers", "1")
		<-g.begun // the other process has capacity
		dbtest.Eventually(t, "two workers", func() bool { return len(rows()) == 2 })
		if list := rows(); !slices.ContainsFunc(list,
			func(r limitedRow) bool { return r.Slots == 1 && r.Limits == "" && r.SlotsUsed == 1 }) {
			t.Errorf("workers: %+v", list)
		}
		g.open <- nil
		g.open <- nil
		dbtest.Eventually(t, "the run completes", func() bool { return p.show(t, id).Execution.Status == "Completed" })
		serve.stop(t)
		second.stop(t)
	})
}
