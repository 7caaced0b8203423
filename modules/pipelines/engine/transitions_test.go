package engine_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluiceworks/sluice/modules/enginetest"
	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

var scripted = []tasks.Handler{&enginetest.Scripted{}}

// historyOf gives the whole history of a run, by task ("" the pipeline itself): a line for each event with its version,
// who acted (by) and who asked (for), and its data with instants, durations and hashes named instead of given.
func historyOf(t *testing.T, h *byHand) map[string][]string {
	t.Helper()
	list, err := h.s.Tasks.ListByPipeline(h.ctx, h.id)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]string{"": lines(t, eventsOf(t, h, ""))}
	for _, x := range list {
		out[x.TaskName] = lines(t, eventsOf(t, h, x.TaskName))
	}
	return out
}

func lines(t *testing.T, list []events.Event) []string {
	t.Helper()
	out := make([]string, len(list))
	for i, e := range list {
		version := "-"
		if e.Version != nil {
			version = fmt.Sprint(*e.Version)
		}
		line := fmt.Sprintf("%s %s", version,
			strings.TrimPrefix(strings.TrimPrefix(string(e.EventType), "task_"), "pipeline_"))
		if e.WorkerID != "" {
			line += " by " + string(e.WorkerID)
		}
		if e.Actor != "" {
			line += " for " + string(e.Actor)
		}
		out[i] = line + " " + named(t, e.EventData)
	}
	return out
}

// named writes an object with its keys sorted and what no test can foresee under a name.
func named(t *testing.T, doc dbtype.JSON) string {
	t.Helper()
	var fields map[string]any
	if err := json.Unmarshal(doc, &fields); err != nil {
		t.Fatalf("event data %s: %v", doc, err)
	}
	for key, value := range fields {
		switch v := value.(type) {
		case string:
			before, _, condition := strings.Cut(v, "if: ")
			if _, err := time.Parse(dbtype.TimeFormat, v); err == nil {
				fields[key] = "TIME"
			} else if key == "definition_version" && v != "" {
				fields[key] = "HASH"
			} else if condition {
				fields[key] = before + "IF"
			}
		case float64:
			if strings.HasSuffix(key, "_ms") || key == "deferred_for" {
				fields[key] = "MS"
			}
		}
	}
	b, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(b), `"`, "")
}

// TestDALEmitsEventsOnStateTransitions is the exact history, data, workers and actors of a run in which tasks take
// every way.
func TestDALEmitsEventsOnStateTransitions(t *testing.T) {
	t.Parallel()
	enginetest.Each(t, scripted, func(t *testing.T, s *enginetest.Stack) {
		h := newByHand(t, s, "lifecycle",
			work("fine"), work("flaky", "fine"), work("waiting", "flaky"), work("given", "waiting"),
			work("lost", "given"),
			work("broken", "lost"), work("after", "broken"), withRule(work("alert", "broken"), definition.OneFailed))
		end := func(task string, kind pipelines.OutcomeKind) func() error {
			return func() error { return h.finish(task, kind) }
		}
		claim := func() error { return h.claim(10) }
		ok, bad := pipelines.OutcomeSucceeded, pipelines.OutcomeFailed
		h.steps(h.start, h.pause, h.resume, h.hire, claim, end("fine", ok),
			claim, end("flaky", bad), claim, end("flaky", ok),
			claim, end("waiting", pipelines.OutcomeDeferred), claim, end("waiting", ok),
			claim, end("given", pipelines.OutcomeReleased), claim, end("given", ok),
			h.lose, h.recover, h.hire, claim, end("lost", ok),
			claim, func() error { return h.breaks("broken") },
			claim, end("alert", ok))
		if diff := cmp.Diff(lifecycle, historyOf(t, h)); diff != "" {
			t.Errorf("history (-want +got):\n%s", diff)
		}
		left, err := s.Leases.List(h.ctx)
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, w := range left {
			ids = append(ids, w.ID)
		}
		if diff := cmp.Diff([]string{"worker-1", "worker-3"}, ids); diff != "" {
			t.Errorf("workers: the one that died is taken off by its recovery (-want +got):\n%s", diff)
		}
	})
}

// begun, done, created and readied are the usual lines.
func begun(version, attempt int, worker string) []string {
	return []string{
		fmt.Sprintf("%d claimed by %s {attempt:%d,lease_expires_at:TIME}", version, worker, attempt),
		fmt.Sprintf("%d started by %s {attempt:%d}", version+1, worker, attempt),
	}
}

func done(version, attempt int, worker string) string {
	return fmt.Sprintf("%d completed by %s {attempt:%d,duration_ms:MS}", version, worker, attempt)
}

func created(task, rule, needs string) string {
	return fmt.Sprintf("1 created for starter "+
		"{id:%s,max_attempts:2,needs:[%s],priority:normal,queue:default,trigger_rule:%s,uses:scripted}", task, needs,
		rule)
}

func readied(worker string) string { return "2 marked_ready by " + worker + " {available_at:TIME}" }

func join(parts ...any) []string {
	var out []string
	for _, p := range parts {
		switch v := p.(type) {
		case string:
			out = append(out, v)
		case []string:
			out = append(out, v...)
		}
	}
	return out
}

// The workers: worker-1 works, worker-2 dies, worker-3 goes on.
var lifecycle = map[string][]string{
	"": {
		"1 started for starter {definition_version:HASH,pipeline:lifecycle,task_count:8}",
		"2 paused for operator {reason:because}",
		"3 resumed for operator {}",
		"4 failed by worker-3 {counts:{Completed:6,Failed:1,Skipped:1},duration_ms:MS,error:task broken failed: " +
			"attempt 1 of broken fails}",
	},
	"fine": join(created("fine", "all_success", ""), "2 marked_ready for starter {available_at:TIME}",
		begun(3, 1, "worker-1"), done(5, 1, "worker-1")),
	"flaky": join(
		created("flaky", "all_success", "fine"), readied("worker-1"), begun(3, 1, "worker-1"),
		"5 retry_scheduled by worker-1 {attempt:1,delay_ms:MS,error:attempt 1 of flaky "+
			"fails,error_kind:error,next_attempt:2,retry_at:TIME}",
		begun(6, 2, "worker-1"), done(8, 2, "worker-1"),
	),
	"waiting": join(
		created("waiting", "all_success", "flaky"), readied("worker-1"), begun(3, 1, "worker-1"),
		"5 deferred by worker-1 {attempt:1,reason:not yet,resume_at:TIME}",
		"6 claimed by worker-1 {attempt:1,lease_expires_at:TIME}", "7 resumed by worker-1 {deferred_for:MS}",
		"8 started by worker-1 {attempt:1}", done(9, 1, "worker-1"),
	),
	"given": join(
		created("given", "all_success", "waiting"), readied("worker-1"), begun(3, 1, "worker-1"),
		"5 reset by worker-1 {available_at:TIME,cause:operator,max_attempts:3,reason:the worker is "+
			"stopping,recoveries:0,worker:worker-1}",
		begun(6, 2, "worker-1"), done(8, 2, "worker-1"),
	),
	"lost": join(
		created("lost", "all_success", "given"), readied("worker-1"), begun(3, 1, "worker-2"),
		"5 reset {available_at:TIME,cause:lease_expired,recoveries:1,worker:worker-2}",
		begun(6, 2, "worker-3"), done(8, 2, "worker-3"),
	),
	"broken": join(
		created("broken", "all_success", "lost"), readied("worker-3"), begun(3, 1, "worker-3"),
		"5 failed by worker-3 {attempt:1,duration_ms:MS,error:attempt 1 of broken fails,error_kind:permanent}",
	),
	"after": {
		created("after", "all_success", "broken"),
		"2 skipped by worker-3 {detail:trigger rule all_success is not met, because of a failure " +
			"above,reason:upstream_failed,rule:all_success}",
	},
	"alert": join(created("alert", "one_failed", "broken"), readied("worker-3"), begun(3, 1, "worker-3"),
		done(5, 1, "worker-3")),
}

// TestDALEmitsEventsOnUnhappyEnds is the exact history of a run that is cancelled, run again, abandoned and run again.
func TestDALEmitsEventsOnUnhappyEnds(t *testing.T) {
	t.Parallel()
	enginetest.Each(t, scripted, func(t *testing.T, s *enginetest.Stack) {
		h := newByHand(t, s, "unhappy", work("a"), withCondition(work("b", "a"), "needs.a.by + 1 > 2"))
		claim := func() error { return h.claim(10) }
		h.steps(h.start, h.hire, claim, h.cancel, h.retry, claim,
			func() error { return h.finish("a", pipelines.OutcomeSucceeded) })
		if diff := cmp.Diff(unhappy, historyOf(t, h)); diff != "" {
			t.Errorf("history (-want +got):\n%s", diff)
		}
	})
}

var unhappy = map[string][]string{
	"": {
		"1 started for starter {definition_version:HASH,pipeline:unhappy,task_count:2}",
		"2 cancelled for operator {reason:because}",
		"3 restarted for operator {tasks:[a,b]}",
		"4 failed by worker-1 {counts:{Abandoned:1,Completed:1},duration_ms:MS,error:task b was abandoned: IF}",
	},
	"a": join(
		created("a", "all_success", ""), "2 marked_ready for starter {available_at:TIME}", begun(3, 1, "worker-1"),
		"5 cancelled for operator {reason:because,worker:worker-1}",
		"6 reset for operator {cause:operator,max_attempts:3,recoveries:0,worker:null}",
		"7 marked_ready for operator {available_at:TIME}", begun(8, 2, "worker-1"), done(10, 2, "worker-1"),
	),
	"b": {
		created("b", "all_success", "a"),
		"2 cancelled for operator {reason:because,worker:null}",
		"3 reset for operator {cause:operator,max_attempts:2,recoveries:0,worker:null}",
		"4 abandoned by worker-1 {error_kind:expression,reason:IF,worker:null}",
	},
}
