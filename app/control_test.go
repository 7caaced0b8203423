package app_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
	"go.uber.org/fx"
)

// TestControl checks that control commands affect the next claim, print what they did, and are refused in a wrong
// state.
func TestControl(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		g := newGate()
		p.extensions = []fx.Option{g.option()}
		id := p.start(t, file(t, "gated.yaml", gated))
		p.fails(t, 5, []string{"cannot resume", "which is Running", "`sluice show " + id + "`"}, "resume", id)
		p.fails(t, 5, []string{"cannot retry", "which is Running"}, "retry", id)
		paused := decode[execution](t, p.ok(t, "pause", id, "-o", "json"))
		if paused.Status != "Paused" || paused.ID != id {
			t.Errorf("paused: %+v", paused)
		}
		p.fails(t, 5, []string{"cannot pause", "which is Paused"}, "pause", id)
		if rows := decode[listing[any]](t, p.ok(t, "outbox", "-o", "json")).Items; len(rows) > 0 {
			t.Errorf("outbox of a paused run: %v", rows)
		}
		contains(t, p.ok(t, "resume", id), "resumed gated "+id+", 2 tasks to do")
		contains(t, p.ok(t, "cancel", id, "--reason", "not needed"), "cancelled gated "+id, "`sluice retry "+id+"`")
		p.fails(t, 5, []string{"cannot cancel", "which is Cancelled"}, "cancel", id)
		contains(t, p.ok(t, "retry", id), "restarted gated "+id+", 2 tasks to do")
		events := p.events(t, "--pipeline-execution", id, "--type", "pipeline_cancelled")
		if len(events) != 1 || !strings.Contains(string(events[0].EventData), "not needed") || events[0].Actor == nil {
			t.Errorf("cancelled: %+v", events)
		}
		p.ok(t, "cancel", id)
	})
}

// TestRetry checks that completed tasks are not run again, and that --from narrows a retry.
func TestRetry(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		g := newGate()
		p.extensions = []fx.Option{g.option()}
		g.open <- nil
		g.open <- errors.New("no luck")
		r := p.run(t, "run", file(t, "gated.yaml", gated), "-o", "json")
		id := decode[document](t, r.stdout).Execution.ID
		p.fails(t, 3, []string{`no task "third"`, "`sluice show " + id + "` lists its tasks"}, "retry", id, "--from",
			"third")
		contains(t, p.ok(t, "retry", id, "--from", "second"), "1 task to do")
		g.open <- nil
		serve := p.begin(t, "serve")
		dbtest.Eventually(t, "the retried run completes",
			func() bool { return p.show(t, id).Execution.Status == "Completed" })
		serve.stop(t)
		doc := p.show(t, id)
		var got []string
		for _, a := range doc.Attempts {
			got = append(got, a.TaskName+" "+a.Status)
		}
		if diff := cmp.Diff([]string{"first Completed", "second Failed", "second Completed"}, got); diff != "" {
			t.Error(diff)
		}
	})
}

func TestAnnotate(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		id := p.start(t, "../examples/first.yaml")
		contains(t, p.ok(t, "annotate", id, "--data", `{"note": "seen"}`), "annotated execution "+id)
		contains(t, p.ok(t, "annotate", id, "--data", `{"note": "again"}`, "--task", "files"),
			"annotated task files of execution "+id)
		doc := decode[event](t,
			p.ok(t, "annotate", id, "--data", `{"note": "third"}`, "--task", "files", "--worker", "w-7", "-o", "json"))
		if doc.PipelineExecutionID != id || doc.TaskExecutionID == nil || doc.EventType != "annotation" ||
			doc.WorkerID == nil || *doc.WorkerID != "w-7" || doc.Actor == nil {
			t.Errorf("as JSON: %+v", doc)
		}
		list := p.events(t, "--pipeline-execution", id, "--type", "annotation")
		if len(list) != 3 || list[0].WorkerID != nil || list[2].WorkerID == nil || *list[2].WorkerID != "w-7" {
			t.Fatalf("annotations: %+v", list)
		}
		if list[0].Version != nil || list[0].TaskExecutionID != nil || list[1].TaskExecutionID == nil ||
			list[1].Actor == nil {
			t.Errorf("annotations: %+v", list)
		}
		p.fails(t, 2, []string{"expected a JSON object"}, "annotate", id)
		p.fails(t, 2, []string{"expected a JSON object"}, "annotate", id, "--data", "[1]")
		p.fails(t, 2, []string{"no database keeps"}, "annotate", id, "--data", `{"a": "\u0000"}`)
		p.fails(t, 3, []string{`named "fils"`, `did you mean "files"?`}, "annotate", id, "--data", "{}", "--task",
			"fils")
		p.fails(t, 3, []string{"no such pipeline execution"}, "annotate", nobody, "--data", "{}")
		p.ok(t, "cancel", id)
	})
}

func TestStart(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		const path = "../examples/first.yaml"
		ids := strings.Fields(p.ok(t, "start", path, "--count", "3"))
		if len(ids) != 3 || ids[0] == ids[1] || ids[1] == ids[2] {
			t.Errorf("ids: %q", ids)
		}
		type started struct {
			IDs      []string `json:"ids"`
			Existing bool     `json:"existing"`
		}
		first := decode[started](t, p.ok(t, "start", path, "--idempotency-key", "k", "-o", "json"))
		again := decode[started](t, p.ok(t, "start", path, "--idempotency-key", "k", "-o", "json"))
		if first.Existing || !again.Existing || !cmp.Equal(first.IDs, again.IDs) {
			t.Errorf("with a key: %+v, then %+v", first, again)
		}
		p.fails(t, 5, []string{`"k" started pipeline execution ` + first.IDs[0], "another input"}, "start", path,
			"--idempotency-key", "k", "--set", "report=false")
		p.fails(t, 5, []string{first.IDs[0], "another definition"}, "start",
			file(t, "first.yaml",
				"name: first\ninput: {dir: {type: string, default: '.'}, report: {type: boolean, default: "+
					"true}}\ntasks:\n  - {id: a, run: echo}\n"), "--idempotency-key", "k")
		p.fails(t, 2, []string{"--idempotency-key names one run"}, "start", path, "--idempotency-key", "k", "--count",
			"2")
		p.fails(t, 2, []string{"expected a whole number from 1"}, "start", path, "--count", "0")
		if list := decode[listing[execution]](t, p.ok(t, "list", "-o", "json")).Items; len(list) != 4 {
			t.Errorf("%d executions", len(list))
		}
	})
}

func TestList(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		contains(t, p.run(t, "list").stderr, "no executions: `sluice run FILE` makes one")
		if got := decode[listing[execution]](t, p.ok(t, "list", "-o", "json")); got.Items == nil ||
			len(got.Items) > 0 || got.Next != nil {
			t.Errorf("an empty list: %+v", got)
		}
		ids := strings.Fields(p.ok(t, "start", "../examples/first.yaml", "--count", "3"))
		other := p.start(t, "../examples/failing.yaml")
		p.ok(t, "cancel", other)
		names := func(args ...string) (out []string) {
			for _, x := range decode[listing[execution]](t,
				p.ok(t, append([]string{"list", "-o", "json"}, args...)...)).Items {
				out = append(out, x.ID)
			}
			return out
		}
		for _, c := range []struct{ args, want []string }{
			{nil, []string{other, ids[2], ids[1], ids[0]}},
			{[]string{"--status", "cancelled"}, []string{other}},
			{[]string{"--pipeline", "first", "--limit", "2"}, []string{ids[2], ids[1]}},
			{[]string{"--cursor", ids[2]}, []string{ids[1], ids[0]}},
		} {
			if diff := cmp.Diff(c.want, names(c.args...)); diff != "" {
				t.Errorf("%q: %s", c.args, diff)
			}
		}
		for _, filter := range [][]string{{"--status", "Failed"}, {"--pipeline", "nobodys"}, {"--cursor", nobody}} {
			if r := p.run(t, append([]string{"list"}, filter...)...); r.code != 0 ||
				r.stderr != "no execution matches\n" {
				t.Errorf("%q: %+v", filter, r)
			}
		}
		r := p.run(t, "list", "--limit", "2")
		contains(t, r.stdout, "ID ", "PIPELINE", other, "Cancelled")
		contains(t, r.stderr, "older ones: sluice list --limit 2 --cursor "+ids[2])
	})
}
