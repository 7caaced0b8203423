package history_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/history"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// told is a history written by hand. Each call adds an event with the second at which its transaction began.
type told struct {
	run  dbtype.ID
	ids  map[string]dbtype.ID
	seen map[string]int64
	list []events.Event
}

func tell() *told {
	return &told{run: dbtype.NewID(), ids: map[string]dbtype.ID{"": {}}, seen: map[string]int64{}}
}

// add appends an event with the next number. The task "" is the pipeline itself.
func (h *told) add(second int, task string, kind events.Type, worker, data string) *told {
	if _, ok := h.ids[task]; !ok {
		h.ids[task] = dbtype.NewID()
	}
	e := events.Event{
		SequenceNum: int64(len(h.list) + 1), PipelineExecutionID: h.run, TaskExecutionID: h.ids[task], EventType: kind,
		EventData: dbtype.JSON(data),
		WorkerID:  dbtype.Text(worker), CreatedAt: moment(second),
	}
	if kind != events.Annotation {
		h.seen[task]++
		version := h.seen[task]
		e.Version = &version
	}
	h.list = append(h.list, e)
	return h
}

func moment(second int) dbtype.Time {
	return dbtype.NewTime(time.Date(2026, 11, 22, 8, 0, second, 0, time.UTC))
}

// begin starts a run of the tasks a and b, where b needs a, and makes a ready.
func begin() *told {
	return tell().add(0, "", events.PipelineStarted, "",
		`{"pipeline": "p", "definition_version": "v", "task_count": 2}`).
		add(0, "a", events.TaskCreated, "",
			`{"id": "a", "uses": "shell", "queue": "default", "priority": "high", "needs": [],
  "trigger_rule": "all_success", "max_attempts": 2}`).
		add(0, "b", events.TaskCreated, "",
			`{"id": "b", "uses": "shell", "queue": "default", "priority": "low", "needs": ["a"],
  "trigger_rule": "all_success", "max_attempts": 1}`).
		add(0, "a", events.TaskMarkedReady, "", `{"available_at": "2026-11-22T08:00:00.000000Z"}`)
}

func (h *told) claim(second int, task, attempt string) *told {
	return h.add(second, task, events.TaskClaimed, "w", `{"attempt": `+attempt+
		`, "lease_expires_at": "2026-11-22T09:00:00.000000Z"}`).
		add(second, task, events.TaskStarted, "w", `{"attempt": `+attempt+`}`)
}

func (h *told) swap(i, j int) *told {
	h.list[i].SequenceNum, h.list[j].SequenceNum = h.list[j].SequenceNum, h.list[i].SequenceNum
	return h
}

func (h *told) log(t *testing.T) *history.Log {
	t.Helper()
	l, err := history.New(h.list)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// statuses returns the statuses of the pipeline and its tasks.
func statuses(t *testing.T, l *history.Log) []string {
	t.Helper()
	s, err := l.Fold().State()
	if err != nil {
		t.Fatal(err)
	}
	out := []string{string(s.Execution.Status)}
	for _, x := range s.Tasks {
		out = append(out, x.TaskName+" "+string(x.Status))
	}
	return out
}

// TestATransactionIsSeenWhole tests two transactions whose numbers are interleaved, and one that began before the
// others and had to wait.
func TestATransactionIsSeenWhole(t *testing.T) {
	t.Parallel()
	h := begin().claim(2, "a", "1"). // 5, 6
		// 7, begun a second before the claim that it waited for
		add(1, "", events.PipelinePaused, "", `{"reason": "why"}`)
	l := h.log(t)
	at, err := l.At(moment(1))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"Paused", "a Running", "b NotStarted"}, statuses(t, at)); diff != "" {
		t.Errorf("what was written at second 1 was committed after the claim:\n%s", diff)
	}
	for number, want := range map[int64]string{1: "a Ready", 3: "a Ready", 5: "a Running", 6: "a Running"} {
		cut, err := l.AtEvent(number)
		if err != nil {
			t.Fatal(err)
		}
		if got := statuses(t, cut); got[0] != "Running" || got[1] != want {
			t.Errorf("at event %d: %v, want %s", number, got, want)
		}
	}
	// The annotation is between the two events of the claim.
	mixed := begin().claim(2, "a", "1").add(3, "", events.Annotation, "", `{}`).swap(5, 6)
	cut, err := mixed.log(t).AtEvent(6)
	if err != nil {
		t.Fatal(err)
	}
	if last, n := cut.Last(); len(cut.Events()) != 7 || n != 7 || !last.Equal(moment(3).Time) {
		t.Errorf("at the annotation: %d events, the last %d at %v", len(cut.Events()), n, last)
	}
}

// TestReadingOrderDoesNotMatter checks that the result does not depend on the order in which a history is read.
func TestReadingOrderDoesNotMatter(t *testing.T) {
	t.Parallel()
	h := begin().claim(2, "a", "1").add(4, "a", events.TaskCompleted, "w", `{"attempt": 1, "duration_ms": 2000}`).
		add(4, "b", events.TaskMarkedReady, "w", `{"available_at": "2026-11-22T08:00:04.000000Z"}`)
	want, err := history.Fold(h.list).State()
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		list := rapid.Permutation(h.list).Draw(rt, "order")
		got, err := history.Fold(list).State()
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			rt.Errorf("%v\n%s", err, diff)
		}
	})
	if want.Tasks[1].RemainingDependencies != 0 || len(want.Outbox) != 1 || want.Tasks[0].Priority != 0 ||
		want.Tasks[1].Priority != 2 {
		t.Errorf("state: %+v", want)
	}
}

// TestBrokenHistories checks that a history that is incomplete or not legal leads to an error and no state.
func TestBrokenHistories(t *testing.T) {
	t.Parallel()
	whole := begin().claim(2, "a", "1").list
	twice := append(append([]events.Event{}, whole...), whole[4])
	illegal := begin().add(1, "b", events.TaskFailed, "w", `{"attempt": 1, "error": "x", "error_kind": "exit"}`).list
	unreadable := begin().add(1, "a", events.TaskClaimed, "w", `[]`).list
	for name, list := range map[string][]events.Event{
		"a gap": append(append([]events.Event{}, whole[:4]...), whole[5]), "a repeat": twice,
		"no such transition": illegal, "no data": unreadable,
		"no beginning": whole[1:2],
	} {
		if s, err := history.Fold(list).State(); !errors.Is(err, history.ErrBroken) {
			t.Errorf("%s: %+v, %v", name, s, err)
		}
	}
	l := begin().log(t)
	if _, err := l.At(moment(-1)); !errors.Is(err, history.ErrBefore) {
		t.Errorf("before the start: %v", err)
	}
	if _, err := l.AtEvent(99); !errors.Is(err, history.ErrNoEvent) {
		t.Errorf("an event that is not there: %v", err)
	}
	empty, err := history.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	if line, err := empty.Fold().Timeline(moment(1)); err != nil || len(line.Rows) != 0 {
		t.Errorf("no events: %+v, %v", line, err)
	}
}

// TestSegments checks every kind, with its times and its attempt.
func TestSegments(t *testing.T) {
	t.Parallel()
	h := begin().claim(1, "a", "1").
		add(3, "a", events.TaskRetryScheduled, "w",
			`{"attempt": 1, "next_attempt": 2, "error": "x", "error_kind": "exit", "delay_ms": 2000,
  "retry_at": "2026-11-22T08:00:05.000000Z"}`).
		claim(6, "a", "2").
		add(8, "a", events.TaskDeferred, "w",
			`{"attempt": 2, "resume_at": "2026-11-22T08:00:10.000000Z", "reason": "not yet"}`).
		add(9, "", events.PipelinePaused, "", `{"reason": ""}`).add(11, "", events.PipelineResumed, "", `{}`).
		add(12, "a", events.TaskClaimed, "w", `{"attempt": 2, "lease_expires_at": "2026-11-22T09:00:00.000000Z"}`).
		add(12, "a", events.TaskResumed, "w", `{"deferred_for": 4000}`).
		add(12, "a", events.TaskStarted, "w", `{"attempt": 2}`).
		add(13, "a", events.TaskReset, "",
			`{"cause": "lease_expired", "worker": "w", "recoveries": 1,
  "available_at": "2026-11-22T08:00:13.000000Z"}`).
		claim(14, "a", "3").
		add(15, "a", events.TaskFailed, "w", `{"attempt": 3, "error": "x", "error_kind": "exit"}`).
		add(15, "b", events.TaskSkipped, "w", `{"reason": "upstream_failed", "rule": "all_success", "detail": ""}`).
		add(15, "", events.PipelineFailed, "w",
			`{"counts": {"Failed": 1, "Skipped": 1}, "duration_ms": 15000, "error": "x"}`).
		add(20, "", events.PipelineRestarted, "", `{"tasks": ["a", "b"]}`).
		add(20, "a", events.TaskReset, "", `{"cause": "operator", "recoveries": 0, "max_attempts": 5}`).
		add(20, "b", events.TaskReset, "", `{"cause": "operator", "recoveries": 0, "max_attempts": 1}`).
		add(20, "a", events.TaskMarkedReady, "", `{"available_at": "2026-11-22T08:00:20.000000Z"}`).
		claim(22, "a", "4")
	line, err := h.log(t).Fold().Timeline(moment(25))
	if err != nil {
		t.Fatal(err)
	}
	seg := func(k history.Kind, from, to, attempt int, result string) history.Segment {
		return history.Segment{
			Kind: k, From: moment(from), To: moment(to), Attempt: attempt,
			Result: dbtype.Text(result),
		}
	}
	want := []history.TaskTimeline{
		{TaskExecutionID: h.ids["a"], TaskName: "a", Status: tasks.Running, Segments: []history.Segment{
			seg(history.Queued, 0, 1, 1, ""), seg(history.Running, 1, 3, 1, "Failed"),
			seg(history.BackingOff, 3, 5, 2, ""), seg(history.Queued, 5, 6, 2, ""),
			seg(history.Running, 6, 8, 2, "Deferred"), seg(history.Deferred, 8, 9, 2, ""),
			seg(history.Paused, 9, 11, 2, ""), seg(history.Queued, 11, 12, 2, ""),
			seg(history.Running, 12, 13, 2, "Lost"), seg(history.Queued, 13, 14, 3, ""),
			seg(history.Running, 14, 15, 3, "Failed"), seg(history.Ended, 15, 20, 3, ""),
			seg(history.Queued, 20, 22, 4, ""), seg(history.Running, 22, 25, 4, ""),
		}},
		{TaskExecutionID: h.ids["b"], TaskName: "b", Status: tasks.NotStarted, Segments: []history.Segment{
			seg(history.Waiting, 0, 15, 1, ""), seg(history.Ended, 15, 20, 0, ""), seg(history.Waiting, 20, 25, 1, ""),
		}},
	}
	if diff := cmp.Diff(want, line.Rows); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]history.CriticalStep{{TaskName: "a", From: moment(0), To: moment(25)}},
		line.Critical); diff != "" {
		t.Error(diff)
	}
}

// TestCompare checks that only differences are reported, and that numbers keep all their digits.
func TestCompare(t *testing.T) {
	t.Parallel()
	run := func(seconds int) history.Run {
		h := begin().claim(1, "a", "1").
			add(1+seconds, "a", events.TaskCompleted, "w", `{"attempt": 1, "duration_ms": 1}`)
		state, err := history.Fold(h.list).State()
		if err != nil {
			t.Fatal(err)
		}
		line, err := h.log(t).Fold().Timeline(moment(10))
		if err != nil {
			t.Fatal(err)
		}
		state.Execution.Input = dbtype.JSON(`{"day": "mon", "n": 9007199254740993}`)
		state.Tasks[0].Output = dbtype.JSON(`{"rows": 3, "ok": true}`)
		return history.Run{Execution: state.Execution, Tasks: state.Tasks, Timeline: line}
	}
	a, b := run(2), run(5)
	b.Execution.Input = dbtype.JSON(`{"n": 9007199254740992, "day": "mon"}`)
	b.Tasks[0].Output = dbtype.JSON(`{"ok": true, "rows": 4}`)
	b.Tasks[1].TaskName, b.Timeline.Rows[1].TaskName = "c", "c"
	got, err := history.Compare(a, b)
	if err != nil {
		t.Fatal(err)
	}
	type brief struct {
		Task, Field   string
		First, Second any
	}
	var list []brief
	for _, d := range got.Differences {
		list = append(list, brief{string(d.TaskName), d.Field, d.First, d.Second})
	}
	number := func(v any) any {
		if s, ok := v.(interface{ String() string }); ok {
			return s.String()
		}
		return v
	}
	for i := range list {
		list[i].First, list[i].Second = number(list[i].First), number(list[i].Second)
	}
	want := []brief{
		{"", "input.n", "9007199254740993", "9007199254740992"},
		{"a", "output.rows", "3", "4"},
		{"b", "task", tasks.NotStarted, nil},
		{"c", "task", nil, tasks.NotStarted},
	}
	if diff := cmp.Diff(want, list); diff != "" {
		t.Error(diff)
	}
	first := got.Durations[0]
	if first.TaskName != "a" || first.DeltaMS != 3000 || *first.FirstMS != 3000 || *first.SecondMS != 6000 ||
		len(got.Durations) != 3 ||
		got.Durations[1].SecondMS != nil || got.Durations[2].FirstMS != nil {
		t.Errorf("durations: %+v", got.Durations)
	}
	if same, _ := history.Compare(a, a); len(same.Differences) != 0 || same.Durations[0].DeltaMS != 0 {
		t.Errorf("a run compared with itself: %+v", same)
	}
	a.Timeline = nil
	if blind, _ := history.Compare(a, history.Run{Execution: pipelines.Execution{}}); len(blind.Durations) != 0 ||
		len(blind.Differences) == 0 {
		t.Errorf("without timelines: %+v", blind)
	}
}
