package audit

import (
	"strings"
	"testing"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/tasks"
)

// example has a legal event for each transition, for a task in its first attempt, which w1 holds while it runs.
var example = map[string]struct{ worker, data string }{
	"create": {
		"",
		`{"id": "a", "uses": "shell", "needs": [], "trigger_rule": "all_success", "max_attempts": 3}`,
	},
	"mark ready":   {"", `{"available_at": "2026-11-21T12:00:00.000000Z"}`},
	"claim":        {"w1", `{"attempt": 2, "lease_expires_at": "2026-11-21T12:00:00.000000Z"}`},
	"resume":       {"w1", `{"deferred_for": 10}`},
	"mark started": {"w1", `{"attempt": 1}`},
	"defer":        {"w1", `{"attempt": 1, "resume_at": "2026-11-21T12:00:00.000000Z", "reason": ""}`},
	"complete":     {"w1", `{"attempt": 1, "duration_ms": 0}`},
	"schedule retry": {
		"w1",
		`{"attempt": 1, "next_attempt": 2, "error": "x", "error_kind": "error", "delay_ms": 1,
  "retry_at": "2026-11-21T12:00:00.000000Z"}`,
	},
	"fail":         {"w1", `{"attempt": 1, "error": "x", "error_kind": "error"}`},
	"skip":         {"", `{"reason": "condition", "rule": "all_success", "detail": ""}`},
	"skip running": {"w1", `{"reason": "exit_code", "rule": "all_success", "attempt": 1, "exit_code": 99}`},
	"reset":        {"", `{"cause": "lease_expired", "worker": "w1", "recoveries": 1}`},
	"reopen":       {"", `{"cause": "operator", "recoveries": 0, "max_attempts": 4}`},
	"abandon":      {"", `{"reason": "gone", "worker": null}`},
	"cancel":       {"", `{"reason": "", "worker": null}`},
}

// standing returns a task fold in a status, as the examples expect it.
func standing(status tasks.Status) *taskFold {
	f := &taskFold{status: status, attempt: 1, maxAttempts: 3, allowed: 3}
	switch status {
	case "":
		f.attempt, f.maxAttempts = 0, 0
	case tasks.Running:
		f.sub, f.worker = tasks.Active, "w1"
	}
	return f
}

func TestEveryTransitionOfATaskFolds(t *testing.T) {
	for _, tr := range tasks.Transitions() {
		x, ok := example[tr.Name]
		if !ok {
			t.Errorf("the transition %q has no example here: add one", tr.Name)
			continue
		}
		froms := tr.From
		if len(froms) == 0 {
			froms = []tasks.Status{""}
		}
		for _, from := range froms {
			f := standing(from)
			f.resumes = tr.Event == events.TaskResumed
			data := x.data
			if from == tasks.Running {
				data = strings.ReplaceAll(data, `"worker": null`, `"worker": "w1"`)
			}
			if p := f.apply(&event{typ: tr.Event, worker: x.worker, data: []byte(data)}); p != nil {
				t.Errorf("%s from %q: %+v", tr.Name, from, *p)
			}
			if f.status != tr.To || f.sub != tr.SubStatus {
				t.Errorf("%s from %q gives %s/%s, expected %s/%s", tr.Name, from, f.status, f.sub, tr.To, tr.SubStatus)
			}
		}
	}
}

func TestEveryOtherStepOfATaskIsIllegal(t *testing.T) {
	checked := 0
	for _, tr := range tasks.Transitions() {
		for _, from := range append(tasks.Statuses(), "") {
			if _, ok := tasks.FindTransition(tr.Event, from); ok {
				continue
			}
			checked++
			f := standing(from)
			x := example[tr.Name]
			if p := f.apply(&event{typ: tr.Event, worker: x.worker, data: []byte(x.data)}); p == nil ||
				p.invariant != I3 {
				t.Errorf("%s from %q: %+v, expected an I3", tr.Name, from, p)
			}
			if f.status != from {
				t.Errorf("%s from %q moved the fold to %s", tr.Name, from, f.status)
			}
		}
	}
	if checked < 80 {
		t.Errorf("only %d illegal steps", checked)
	}
}

func TestGuardsOfATask(t *testing.T) {
	tests := []struct {
		name      string
		status    tasks.Status
		sub       tasks.SubStatus
		resumes   bool
		typ       events.Type
		worker    string
		data      string
		invariant string
	}{
		{"claim by nobody", tasks.Ready, "", false, events.TaskClaimed, "", example["claim"].data, I5},
		{
			"claim repeats the attempt", tasks.Ready, "", false, events.TaskClaimed, "w",
			`{"attempt": 1, "lease_expires_at": "2026-11-21T12:00:00Z"}`, I5,
		},
		{
			"claim of a deferred task counts", tasks.Ready, tasks.Deferred, false, events.TaskClaimed, "w",
			example["claim"].data, I5,
		},
		{
			"resume without deferral", tasks.Running, tasks.Active, false, events.TaskResumed, "w1",
			example["resume"].data, I3,
		},
		{
			"start instead of resume", tasks.Running, tasks.Active, true, events.TaskStarted, "w1",
			example["mark started"].data, I3,
		},
		{"resume by another", tasks.Running, tasks.Active, true, events.TaskResumed, "w2", example["resume"].data, I5},
		{
			"start by another", tasks.Running, tasks.Active, false, events.TaskStarted, "w2",
			example["mark started"].data,
			I5,
		},
		{
			"completion by another", tasks.Running, tasks.Active, false, events.TaskCompleted, "w2",
			example["complete"].data, I5,
		},
		{
			"completion by nobody", tasks.Running, tasks.Active, false, events.TaskCompleted, "",
			example["complete"].data,
			I5,
		},
		{
			"completion of another attempt", tasks.Running, tasks.Active, false, events.TaskCompleted, "w1",
			`{"attempt": 2, "duration_ms": 1}`, I5,
		},
		{"failure by another", tasks.Running, tasks.Active, false, events.TaskFailed, "w2", example["fail"].data, I5},
		{
			"skip of a running task by another", tasks.Running, tasks.Active, false, events.TaskSkipped, "w2",
			example["skip running"].data, I5,
		},
		{
			"skip of a running task for a rule", tasks.Running, tasks.Active, false, events.TaskSkipped, "w1",
			example["skip"].data, I3,
		},
		{
			"skip by exit code of a task that never ran", tasks.NotStarted, "", false, events.TaskSkipped, "",
			example["skip running"].data, I3,
		},
		{
			"deferral by another", tasks.Running, tasks.Active, false, events.TaskDeferred, "w2", example["defer"].data,
			I5,
		},
		{
			"retry by another", tasks.Running, tasks.Active, false, events.TaskRetryScheduled, "w2",
			example["schedule retry"].data, I5,
		},
		{
			"retry skips a number", tasks.Running, tasks.Active, false, events.TaskRetryScheduled, "w1",
			strings.Replace(example["schedule retry"].data, ": 2", ": 3", 1), I5,
		},
		{
			"recovery from another", tasks.Running, tasks.Active, false, events.TaskReset, "",
			`{"cause": "lease_expired", "worker": "w2", "recoveries": 1}`, I5,
		},
		{
			"recovery not counted", tasks.Running, tasks.Active, false, events.TaskReset, "",
			`{"cause": "lease_expired", "worker": "w1", "recoveries": 0}`, I2,
		},
		{
			"release by another", tasks.Running, tasks.Active, false, events.TaskReset, "w2",
			`{"cause": "operator", "worker": "w1", "recoveries": 0}`, I5,
		},
		{
			"release counted as recovery", tasks.Running, tasks.Active, false, events.TaskReset, "w1",
			`{"cause": "operator", "worker": "w1", "recoveries": 1}`, I2,
		},
		{
			"reset for no cause", tasks.Running, tasks.Active, false, events.TaskReset, "",
			`{"cause": "boredom", "worker": "w1", "recoveries": 1}`, I2,
		},
		{
			"given back with another budget", tasks.Running, tasks.Active, false, events.TaskReset, "w1",
			`{"cause": "operator", "worker": "w1", "recoveries": 0, "max_attempts": 7}`, I2,
		},
		{
			"reopened by an expired lease", tasks.Failed, "", false, events.TaskReset, "",
			`{"cause": "lease_expired", "recoveries": 0, "max_attempts": 4}`, I2,
		},
		{
			"reopened without a budget", tasks.Failed, "", false, events.TaskReset, "",
			`{"cause": "operator", "recoveries": 0}`, I2,
		},
		{
			"reopened with another budget", tasks.Failed, "", false, events.TaskReset, "",
			`{"cause": "operator", "recoveries": 0, "max_attempts": 5}`, I2,
		},
		{
			"reopened with recoveries", tasks.Failed, "", false, events.TaskReset, "",
			`{"cause": "operator", "recoveries": 2, "max_attempts": 4}`, I2,
		},
		{
			"cancelled from another", tasks.Running, tasks.Active, false, events.TaskCancelled, "",
			`{"reason": "", "worker": "w2"}`, I5,
		},
		{
			"abandoned from another", tasks.Ready, "", false, events.TaskAbandoned, "",
			`{"reason": "", "worker": "w2"}`,
			I5,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := standing(tt.status)
			f.sub, f.resumes = tt.sub, tt.resumes
			p := f.apply(&event{typ: tt.typ, worker: tt.worker, data: []byte(tt.data)})
			if p == nil || p.invariant != tt.invariant {
				t.Errorf("got %+v, expected %s", p, tt.invariant)
			}
		})
	}
}

func TestRetryBeyondTheBudget(t *testing.T) {
	for recoveries, want := range []bool{false, true} {
		f := standing(tasks.Running)
		f.maxAttempts, f.recoveries = 1, int64(recoveries)
		p := f.apply(&event{typ: events.TaskRetryScheduled, worker: "w1", data: []byte(example["schedule retry"].data)})
		if (p == nil) != want {
			t.Errorf("with %d recoveries: %+v", recoveries, p)
		}
	}
}

func TestDataThatCannotBeRead(t *testing.T) {
	for typ, keys := range required {
		for _, raw := range []string{
			``, `{`, `[]`, `7`, `"x"`, `{"attempt": "one"}`, `{"attempt": 1e99}`,
			`{"attempt": 1.5}`,
		} {
			want := I2
			if raw == "" || raw == "{" {
				want = Data // not JSON
			}
			if _, p := decode(typ, []byte(raw)); p == nil || p.invariant != want {
				t.Errorf("%s with %q: %+v, expected %s", typ, raw, p, want)
			}
		}
		if _, p := decode(typ, []byte(`{}`)); (p == nil) != (len(keys) == 0) || p != nil && p.invariant != I2 {
			t.Errorf("%s with {}: %+v", typ, p)
		}
	}
	for _, raw := range []string{`{"available_at": "yesterday"}`, `{"available_at": null}`, `{"available_at": 5}`} {
		if _, p := decode(events.TaskMarkedReady, []byte(raw)); p == nil || p.invariant != I2 {
			t.Errorf("%s: %+v", raw, p)
		}
	}
}

func TestEveryEventTypeIsKnown(t *testing.T) {
	for _, typ := range events.Types() {
		_, known := required[typ]
		_, pipeline := pipelineTable[typ]
		if known != (typ != events.Annotation) {
			t.Errorf("%s: what its data holds is not written down", typ)
		}
		if pipeline != strings.HasPrefix(string(typ), "pipeline_") {
			t.Errorf("%s: in the table of pipelines: %t", typ, pipeline)
		}
	}
}

func TestEveryStepOfAPipeline(t *testing.T) {
	data := map[events.Type]string{
		events.PipelineStarted:   `{"pipeline": "p", "definition_version": "v", "task_count": 1}`,
		events.PipelineCompleted: `{"counts": {}, "duration_ms": 1}`,
		events.PipelineFailed:    `{"counts": {}, "duration_ms": 1, "error": "x"}`,
		events.PipelinePaused:    `{"reason": ""}`,
		events.PipelineResumed:   `{}`,
		events.PipelineCancelled: `{"reason": ""}`,
		events.PipelineRestarted: `{"tasks": []}`,
	}
	legal := map[string]pipelineStatus{
		"pipeline_started ": running, "pipeline_completed Running": completed, "pipeline_completed Paused": completed,
		"pipeline_failed Running": failed, "pipeline_failed Paused": failed, "pipeline_paused Running": paused,
		"pipeline_resumed Paused": running, "pipeline_cancelled Running": cancelled,
		"pipeline_cancelled Paused":    cancelled,
		"pipeline_restarted Completed": running, "pipeline_restarted Failed": running,
		"pipeline_restarted Cancelled": running,
	}
	for typ, raw := range data {
		for _, from := range []pipelineStatus{"", running, paused, completed, failed, cancelled} {
			f := &pipelineFold{status: from}
			p := f.apply(&event{typ: typ, data: []byte(raw)})
			to, ok := legal[string(typ)+" "+string(from)]
			switch {
			case ok && (p != nil || f.status != to):
				t.Errorf("%s from %q gives %s, %+v", typ, from, f.status, p)
			case !ok && (p == nil || p.invariant != I3):
				t.Errorf("%s from %q: %+v, expected an I3", typ, from, p)
			}
		}
	}
}

func TestVersionsOutOfTurnAreFoldedInOrder(t *testing.T) {
	steps := []event{
		{typ: events.TaskCreated, data: []byte(example["create"].data)},
		{typ: events.TaskMarkedReady, data: []byte(example["mark ready"].data)},
		{typ: events.TaskClaimed, worker: "w1", data: []byte(strings.Replace(example["claim"].data, "2,", "1,", 1))},
		{typ: events.TaskStarted, worker: "w1", data: []byte(example["mark started"].data)},
	}
	var h history
	var f taskFold
	for _, i := range []int{3, 1, 0, 2} {
		e := steps[i]
		e.version = some(int64(i + 1))
		h.take(&f, &e)
		clear(e.data) // the next row overwrites it
		steps[i].data = nil
	}
	if !h.finish(some(4)) || len(h.found) > 0 || f.status != tasks.Running {
		t.Errorf("found %v, the fold is %s", h.found, f.status)
	}
}
