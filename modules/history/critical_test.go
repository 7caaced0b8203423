package history_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/history"
)

// created starts a run of tasks, each with its dependencies as a JSON list.
func created(tasks ...[2]string) *told {
	h := tell().add(0, "", events.PipelineStarted, "",
		fmt.Sprintf(`{"pipeline": "p", "definition_version": "v", "task_count": %d}`, len(tasks)))
	for _, x := range tasks {
		h.add(0, x[0], events.TaskCreated, "", fmt.Sprintf(
			`{"id": %q, "uses": "shell", "needs": %s, "trigger_rule": "all_done", "max_attempts": 1}`, x[0], x[1]))
	}
	return h
}

func (h *told) ready(second int, task string) *told {
	return h.add(second, task, events.TaskMarkedReady, "", `{"available_at": "2026-11-22T08:00:00.000000Z"}`)
}

func (h *told) done(second int, task, attempt string) *told {
	return h.add(second, task, events.TaskCompleted, "w", `{"attempt": `+attempt+`, "duration_ms": 1}`)
}

func (h *told) failed(second int, task, attempt string) *told {
	return h.add(second, task, events.TaskFailed, "w", `{"attempt": `+attempt+`, "error": "x", "error_kind": "exit"}`)
}

func (h *told) reopened(second int, task, most string) *told {
	return h.add(second, task, events.TaskReset, "", `{"cause": "operator", "recoveries": 0, "max_attempts": `+most+`}`)
}

func (h *told) path(t *testing.T, now int) (out []string) {
	t.Helper()
	line, err := h.log(t).Fold().Timeline(moment(now))
	if err != nil {
		t.Fatal(err)
	}
	checkCritical(t, line, allTime(line), "the path")
	for _, l := range line.Critical {
		out = append(out, fmt.Sprintf("%s %d-%d", l.TaskName, l.From.Second(), l.To.Second()))
	}
	return out
}

// allTime returns the length of all segments.
func allTime(line *history.Timeline) (sum time.Duration) {
	for _, r := range line.Rows {
		for _, s := range r.Segments {
			sum += s.Duration()
		}
	}
	return sum
}

// TestCriticalPath checks that the path leads back from the task that ended last, each time to the dependency that
// ended last before the task became ready.
func TestCriticalPath(t *testing.T) {
	t.Parallel()
	diamond := [][2]string{{"a", `[]`}, {"b", `["a"]`}, {"c", `["a"]`}, {"d", `["b", "c"]`}, {"aside", `[]`}}
	h := created(diamond...).ready(0, "a").ready(0, "aside").claim(1, "a", "1").claim(1, "aside", "1").
		done(3, "a", "1").ready(3, "b").ready(3, "c").claim(3, "b", "1").claim(4, "c", "1")
	if diff := cmp.Diff([]string{"aside 0-5"}, h.path(t, 5)); diff != "" {
		t.Errorf("so far:\n%s", diff)
	}
	h.done(6, "c", "1").done(6, "aside", "1").done(9, "b", "1").ready(9, "d").claim(10, "d", "1")
	if diff := cmp.Diff([]string{"a 0-3", "b 3-9", "d 9-12"}, h.path(t, 12)); diff != "" {
		t.Errorf("with d under way:\n%s", diff)
	}
	h.done(14, "d", "1").
		add(14, "", events.PipelineCompleted, "w", `{"counts": {"Completed": 5}, "duration_ms": 14000}`)
	if diff := cmp.Diff([]string{"a 0-3", "b 3-9", "d 9-14"}, h.path(t, 50)); diff != "" {
		t.Errorf("at the end:\n%s", diff)
	}
}

// TestCriticalPathAfterARetry checks that a dependency that was reopened after its dependent completed did not delay
// that dependent.
func TestCriticalPathAfterARetry(t *testing.T) {
	t.Parallel()
	ended := `{"counts": {}, "duration_ms": 1, "error": "x"}`
	h := created([2]string{"a", `[]`}, [2]string{"clean", `["a"]`}, [2]string{"after", `["clean", "a"]`}).ready(0, "a").
		claim(1, "a", "1").
		failed(4, "a", "1").ready(4, "clean").claim(5, "clean", "1").done(7, "clean", "1").ready(7, "after").
		claim(7, "after", "1").failed(8, "after", "1").
		add(8, "", events.PipelineFailed, "w", ended).
		add(20, "", events.PipelineRestarted, "", `{"tasks": ["a", "after"]}`).reopened(20, "a", "2").
		reopened(20, "after", "2").ready(20, "a").
		claim(21, "a", "2")
	if diff := cmp.Diff([]string{"a 0-22"}, h.path(t, 22)); diff != "" {
		t.Errorf("so far:\n%s", diff)
	}
	h.done(25, "a", "2").ready(25, "after").claim(26, "after", "2").done(30, "after", "2").
		add(30, "", events.PipelineCompleted, "w", `{"counts": {}, "duration_ms": 1}`)
	if diff := cmp.Diff([]string{"a 0-25", "after 25-30"}, h.path(t, 30)); diff != "" {
		t.Errorf("at the end:\n%s", diff)
	}
	cut, err := h.log(t).At(moment(8))
	if err != nil {
		t.Fatal(err)
	}
	line, err := cut.Fold().Timeline(moment(9))
	if err != nil {
		t.Fatal(err)
	}
	want := []history.CriticalStep{
		{TaskName: "a", From: moment(0), To: moment(4)},
		{TaskName: "clean", From: moment(4), To: moment(7)},
		{TaskName: "after", From: moment(7), To: moment(8)},
	}
	if diff := cmp.Diff(want, line.Critical); diff != "" {
		t.Errorf("before the retry:\n%s", diff)
	}
}
