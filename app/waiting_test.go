package app_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
)

// process starts the program as a separate process. It is killed at the end of the test at the latest.
func (p *program) process(t *testing.T, args ...string) (*exec.Cmd, *watched) {
	t.Helper()
	return p.processIn(t, "", nil, args...)
}

// processIn starts it in a directory, with additional environment variables.
func (p *program) processIn(t *testing.T, dir string, env []string, args ...string) (*exec.Cmd, *watched) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	stderr := &watched{}
	cmd := exec.Command(self, append([]string{"--database-url", p.url}, args...)...)
	cmd.Dir, cmd.Env, cmd.Stderr = dir, append(append(os.Environ(), asProgram+"=1"), env...), stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kill(t, cmd) })
	return cmd, stderr
}

// kill ends a process immediately, as a power failure would.
func kill(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if cmd.ProcessState != nil {
		return
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("a killed process ended well")
	}
}

const sleeping = `
name: sleeping
tasks:
  - {id: nap, uses: sleep, with: {duration: 8s}}
  - {id: after, needs: [nap], run: "true"}
`

// TestDeferralSurvivesKill kills the worker that deferred a task with -9, and checks that another one resumes it in
// time.
func TestDeferralSurvivesKill(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		id := p.start(t, file(t, "sleeping.yaml", sleeping))
		first, _ := p.process(t, "serve", "--lease", "1s", "--workers", "1")
		dbtest.Eventually(t, "it sleeps",
			func() bool { return strings.Contains(p.ok(t, "show", id), "Ready/Deferred") })
		contains(t, p.ok(t, "show", id), "deferred until 20", ": sleeping for 8s (due in ")
		kill(t, first)
		p.process(t, "serve", "--lease", "1s", "--workers", "1")
		dbtest.Eventually(t, "it completes", func() bool { return p.show(t, id).Execution.Status == "Completed" })
		nap := p.show(t, id).Tasks[0]
		var types, workers []string
		var resumeAt, resumed string
		for _, e := range p.events(t, "--task-execution", nap.ID) {
			types = append(types, strings.TrimPrefix(e.EventType, "task_"))
			switch e.EventType {
			case "task_claimed":
				workers = append(workers, *e.WorkerID)
			case "task_deferred":
				resumeAt = decode[map[string]any](t, string(e.EventData))["resume_at"].(string)
			case "task_resumed":
				resumed = e.CreatedAt
			}
		}
		want := strings.Fields("created marked_ready claimed started deferred claimed resumed started completed")
		if diff := cmp.Diff(want, types); diff != "" || nap.Attempt != 1 {
			t.Errorf("attempt %d, history: %s", nap.Attempt, diff)
		}
		if len(workers) != 2 || workers[0] == workers[1] {
			t.Errorf("claimed by %q", workers)
		}
		if resumed < resumeAt {
			t.Errorf("resumed at %s, which is before %s", resumed, resumeAt)
		}
	})
}

// TestWaitingExample checks both ends of examples/waiting.yaml: the file that it waits for appears, or does not
// appear in time.
func TestWaitingExample(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		path := filepath.Join(t.TempDir(), "it's here.txt")
		run := p.begin(t, "run", "../examples/waiting.yaml", "--set", "pause=100ms", "--set", "file="+
			path, "-o", "json")
		dbtest.Eventually(t, "it waits",
			func() bool { return strings.Contains(run.stderr.String(), "file deferred until ") })
		if err := os.WriteFile(path, []byte("12345"), 0o600); err != nil {
			t.Fatal(err)
		}
		r := run.wait(t)
		want := map[string]string{"pause": "Completed", "file": "Completed", "use": "Completed", "missing": "Skipped"}
		if diff := cmp.Diff(want, decode[document](t, r.stdout).statuses()); diff != "" || r.code != 0 {
			t.Errorf("exit code %d, %s", r.code, diff)
		}
		late := p.run(t, "run", "../examples/waiting.yaml", "--set", "pause=0", "--set", "limit=200ms", "--set",
			"file="+path+".late", "-o", "json")
		want = map[string]string{"pause": "Completed", "file": "Failed", "use": "Skipped", "missing": "Completed"}
		if diff := cmp.Diff(want, decode[document](t, late.stdout).statuses()); diff != "" || late.code != 0 {
			t.Errorf("exit code %d, %s", late.code, diff)
		}
		contains(t, late.stderr, fmt.Sprintf("waited 200ms in vain: file %q is not there yet", path+".late"))
		p.fails(t, 2, []string{"expected one of duration and until"}, "validate",
			file(t, "bad.yaml", "name: bad\ntasks: [{id: a, uses: sleep}]"))
		p.fails(t, 2, []string{"bad.yaml:2:", "with.every", "is shorter than 100ms"}, "validate",
			file(t, "bad.yaml", "name: bad\ntasks: [{id: a, uses: wait, with: {file: x, every: 1ms}}]"))
		p.ok(t, "validate", file(t, "date.yaml",
			"name: date\ntasks: [{id: a, uses: sleep, with: {until: 2027-01-31T09:00:00Z}}]"))
	})
}

type workerRow struct {
	ID        string `json:"id"`
	Alive     bool   `json:"alive"`
	Draining  bool   `json:"draining"`
	LeaseMS   int64  `json:"lease_left_ms"`
	Slots     int    `json:"slots"`
	SlotsUsed int    `json:"slots_used"`
	StartedAt string `json:"started_at"`
	Tasks     []struct {
		PipelineExecutionID string `json:"pipeline_execution_id"`
		PipelineName        string `json:"pipeline"`
		TaskName            string `json:"id"`
		Attempt             int    `json:"attempt"`
		StartedAt           string `json:"started_at"`
	} `json:"tasks"`
}

// TestWorkers checks that workers shows who runs, since when, the lease and the tasks, also of a worker that died.
func TestWorkers(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		if got := decode[listing[workerRow]](t, p.ok(t, "workers", "-o", "json")).Items; len(got) != 0 {
			t.Errorf("no workers: %v", got)
		}
		id := p.start(t, file(t, "long.yaml", "name: long\ntasks: [{id: work, run: exec sleep 1000}]"))
		serve, _ := p.process(t, "serve", "--lease", "1s", "--workers", "2")
		rows := func() []workerRow { return decode[listing[workerRow]](t, p.ok(t, "workers", "-o", "json")).Items }
		dbtest.Eventually(t, "it works",
			func() bool { list := rows(); return len(list) == 1 && list[0].SlotsUsed == 1 })
		w := rows()[0]
		if !w.Alive || w.Draining || w.LeaseMS <= 0 || w.LeaseMS > 1000 || w.Slots != 2 || w.StartedAt == "" ||
			len(w.Tasks) != 1 {
			t.Fatalf("%+v", w)
		}
		if x := w.Tasks[0]; x.PipelineExecutionID != id || x.PipelineName != "long" || x.TaskName != "work" ||
			x.Attempt != 1 || x.StartedAt == "" {
			t.Errorf("%+v", x)
		}
		contains(t, p.ok(t, "workers"), w.ID, "1/2", "ends in ", "long/work for ")
		kill(t, serve)
		dbtest.Eventually(t, "its lease expires", func() bool { return !rows()[0].Alive })
		contains(t, p.ok(t, "workers"), w.ID, "1/2", "expired ", "long/work for ")
		contains(t, p.ok(t, "show", id), "the lease of its worker expired ", "a live worker takes the task back")
		if got := p.show(t, id).statuses()["work"]; got != "Running" {
			t.Errorf("work is %s", got)
		}
		p.ok(t, "cancel", id)
	})
}

// TestWhyItWaitsForAQueue tests a live worker with the handler that serves another queue, and a pause that names who
// paused and when.
func TestWhyItWaitsForAQueue(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		serve := p.begin(t, "serve", "--workers", "1", "--queues", "other")
		dbtest.Eventually(t, "serving",
			func() bool { return strings.Contains(serve.stderr.String(), `"msg":"serving"`) })
		id := p.start(t, file(t, "plain.yaml",
			"name: plain\ntasks: [{id: a, run: \"true\"}, {id: b, needs: [a], run: \"true\"}]"))
		reason := "no live worker with handler \"shell\" serves queue \"default\": start `sluice serve " +
			"--queues default`"
		dbtest.Eventually(t, "the worker is there", func() bool { return strings.Contains(p.ok(t, "outbox"), reason) })
		contains(t, p.ok(t, "show", id), reason, "waits for a (Ready)")
		p.ok(t, "pause", id, "--reason", "stocktaking")
		year := time.Now().Format("2006-")
		contains(t, p.ok(t, "show", id), "the pipeline was paused by cli:", " at "+year, ": stocktaking",
			"waits for a (Ready); the pipeline was paused by ")
		type waiting struct {
			Waiting []struct {
				TaskName string `json:"id"`
				Reason   string `json:"reason"`
			} `json:"waiting"`
		}
		doc := decode[waiting](t, p.ok(t, "show", id, "-o", "json"))
		if len(doc.Waiting) != 2 || doc.Waiting[0].TaskName != "a" ||
			!strings.HasPrefix(doc.Waiting[0].Reason, "the pipeline was paused by cli:") {
			t.Errorf("waiting: %+v", doc.Waiting)
		}
		p.ok(t, "cancel", id)
		if doc := decode[waiting](t, p.ok(t, "show", id, "-o", "json")); len(doc.Waiting) != 0 {
			t.Errorf("waiting after the end: %+v", doc.Waiting)
		}
	})
}
