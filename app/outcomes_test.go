package app_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
)

// logged returns the lines of a log with a message.
func logged(t *testing.T, log, message string) (list []map[string]any) {
	t.Helper()
	for line := range strings.Lines(log) {
		var fields map[string]any
		if !strings.HasPrefix(line, "{") {
			continue
		}
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		if fields["msg"] == message {
			list = append(list, fields)
		}
	}
	return list
}

// TestServeLogsOutcomes checks that each failed attempt and each ended run has one line, with what a person needs to
// find it.
func TestServeLogsOutcomes(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p *program) {
		bad := p.start(t, file(t, "bad.yaml", `
name: bad
tasks:
  - {id: breaks, run: "echo first >&2; echo the reason >&2; exit 3", retry: {max_attempts: 2, delay: 1ms}}
`))
		good := p.start(t, file(t, "good.yaml", "name: good\ntasks: [{id: a, run: 'true'}]"))
		server := p.begin(t, "serve", "--workers", "2", "--log-level", "debug")
		dbtest.Eventually(t, "both have ended", func() bool {
			return p.show(t, bad).Execution.Status == "Failed" && p.show(t, good).Execution.Status == "Completed"
		})
		log := server.stop(t).stderr
		chosen := func(message string, keys ...string) (out []map[string]any) {
			for _, line := range logged(t, log, message) {
				fields := map[string]any{}
				for _, key := range keys {
					fields[key] = line[key]
				}
				if line["duration"] == nil {
					t.Errorf("%q has no duration: %v", message, line)
				}
				out = append(out, fields)
			}
			return out
		}
		attempt := func(n int) map[string]any {
			return map[string]any{
				"level": "warn", "tenant": "default", "pipeline": "bad", "pipeline_execution_id": bad, "task": "breaks",
				"attempt": float64(n), "error": "the reason", "error_kind": "exit", "retried": n == 1,
			}
		}
		want := []map[string]any{attempt(1), attempt(2)}
		if diff := cmp.Diff(want, chosen("a task's attempt failed", "level", "tenant", "pipeline",
			"pipeline_execution_id", "task", "attempt", "error", "error_kind", "retried")); diff != "" {
			t.Error(diff)
		}
		want = []map[string]any{{
			"level": "warn", "tenant": "default", "pipeline": "bad", "pipeline_execution_id": bad,
			"error": "the reason",
		}}
		if diff := cmp.Diff(want,
			chosen("a run failed", "level", "tenant", "pipeline", "pipeline_execution_id", "error")); diff != "" {
			t.Error(diff)
		}
		want = []map[string]any{{
			"level": "info", "tenant": "default", "pipeline": "good",
			"pipeline_execution_id": good,
		}}
		if diff := cmp.Diff(want,
			chosen("a run completed", "level", "tenant", "pipeline", "pipeline_execution_id")); diff != "" {
			t.Error(diff)
		}
		if strings.Contains(log, "fx") || strings.Contains(log, "provided") {
			t.Errorf("lines about how the program is put together:\n%s", log)
		}
		if err := p.run(t, "run", file(t, "bad2.yaml", "name: bad\ntasks: [{id: a, run: exit 1}]")).
			stderr; strings.Contains(err, "attempt failed") {
			t.Errorf("`run` shows its progress, and logs it too:\n%s", err)
		}
	})
}
