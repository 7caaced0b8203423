package workers_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/sluiceworks/sluice/modules/enginetest"
	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/modules/workers"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
)

// expensive are expressions that would take minutes or gigabytes.
var expensive = []string{
	`len(join(map(1..30000, "x"), repeat("y", 400000)))`,
	`len(replace(repeat("ab", 60000), "", repeat("c", 90000)))`,
	`len(reduce(1..50, #acc + #acc + "z", "seed"))`,
	`len(reduce(1..50, concat(#acc, #acc, [#]), [0]))`,
	`len(toJSON(reduce(1..40, [#acc, #acc], "x")))`,
	`len(string(reduce(1..40, {{l: #acc, r: #acc}}, "x")))`,
	`reduce(1..40, [#acc, #acc], 1) == reduce(1..40, [#acc, #acc], 1)`,
	`len(flatten(reduce(1..40, [#acc, #acc], 1)))`,
	`len(uniq([reduce(1..40, [#acc, #acc], 1)]))`,
	`len(groupBy([1], reduce(1..40, [#acc, #acc], 1)))`,
	`len(toJSON(reduce(1..200000, [#acc], 1)))`,
	`any(1..20000, none(1..20000, # == -1 and # == 7) == false)`,
	`sum(1..3000, sum(1..3000, # * # / 7))`,
	`len(1..4000000000)`,
	`len(map(1..500000, 1..500000))`,
	`len(repeat(repeat("q", 900000), 900000))`,
	`len(map(1..2000, split(repeat("a", 900000), "")))`,
	`len(reduce(1..300, toBase64(#acc), "seed"))`,
	`count(1..2000, repeat("a", 900000) matches "(a|a)*b(a|a)*c")`,
	`len(sort(map(1..50000, repeat("s", 50000) + string(#))))`,
}

// TestExpensiveExpressions: each fails its task with its kind and its text, and all other runs complete beside them.
func TestExpensiveExpressions(t *testing.T) {
	former := debug.SetGCPercent(400) // as the program has it
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	allowed := int64(256)
	if dbtest.Race {
		allowed = 512 // the race detector delays the collector, which then finds more to collect
	}
	t.Cleanup(func() { // both databases at once
		debug.SetGCPercent(former)
		runtime.ReadMemStats(&after)
		if grown := int64(after.Sys-before.Sys) >> 20; grown > allowed {
			t.Errorf("the process has grown by %d MiB", grown)
		} else {
			t.Logf("the process has grown by %d MiB", grown)
		}
	})
	enginetest.Each(t, []tasks.Handler{okHandler}, func(t *testing.T, s *enginetest.Stack) {
		ctx := t.Context()
		s.Work(t, ctx, workers.Config{Slots: 64})
		plain := s.Define(t, "plain", definition.Task{ID: "a", Uses: "ok"}, definition.Task{ID: "b", Uses: "ok", Needs: []string{"a"}})
		var failing, others []pipelines.Execution
		for i := range 200 {
			others = append(others, pipelines.Execution{ID: s.Start(t, ctx, plain, "")})
			if i >= len(expensive)*3/2 {
				continue
			}
			source := expensive[i%len(expensive)]
			b := definition.Task{ID: "b", Uses: "ok", Needs: []string{"a"}, With: json.RawMessage(`{"v": ` + quoted("${{ "+source+" }}") + `}`)}
			if i >= len(expensive) { // half of them as conditions, too
				b = definition.Task{ID: "b", Uses: "ok", Needs: []string{"a"}, If: "toJSON(" + source + `) == ""`}
			}
			def := s.Define(t, fmt.Sprint("expensive", i), definition.Task{ID: "a", Uses: "ok"}, b)
			failing = append(failing, pipelines.Execution{ID: s.Start(t, ctx, def, "")})
		}
		var longest time.Duration
		for i, x := range failing {
			if x = s.Wait(t, ctx, x.ID); x.Status != pipelines.Failed {
				t.Errorf("%s: %s", expensive[i%len(expensive)], x.Status)
				continue
			}
			row, want := taskRow(t, s, x.ID, "b"), tasks.Failed
			if i >= len(expensive) { // half of them as conditions, too
				want = tasks.Abandoned
			}
			if row.Status != want || !strings.Contains(string(row.Error), "too expensive") ||
				!strings.Contains(string(row.Error), expensive[i%len(expensive)]) {
				t.Errorf("%s: %s: %s", expensive[i%len(expensive)], row.Status, row.Error)
			}
			if kind := lastKind(t, s, x); kind != "expression" {
				t.Errorf("%s: kind %q", expensive[i%len(expensive)], kind)
			}
			if want == tasks.Failed {
				longest = max(longest, row.CompletedAt.Sub(row.StartedAt.Time))
			}
		}
		for _, x := range others {
			if x = s.Wait(t, ctx, x.ID); x.Status != pipelines.Completed {
				t.Errorf("another run: %s: %s", x.Status, x.Error)
			}
		}
		t.Logf("the longest took %s", longest)
	})
}

var (
	okHandler   = &poolHandler{"ok", func(context.Context, *tasks.Call) (json.RawMessage, error) { return nil, nil }}
	badHandler  = &poolHandler{"bad", func(context.Context, *tasks.Call) (json.RawMessage, error) { return nil, errors.New("it went wrong") }}
	echoHandler = &poolHandler{"echo", func(_ context.Context, call *tasks.Call) (json.RawMessage, error) { return call.With, nil }}
)

func quoted(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

// lastKind is the kind of error of the event that ended the run's last task.
func lastKind(t *testing.T, s *enginetest.Stack, x pipelines.Execution) string {
	t.Helper()
	list, err := s.Events.List(t.Context(), events.Filter{PipelineExecutionID: x.ID})
	if err != nil {
		t.Fatal(err)
	}
	kind := ""
	for _, e := range list {
		if e.EventType != events.TaskFailed && e.EventType != events.TaskAbandoned {
			continue
		}
		var data struct {
			ErrorKind string `json:"error_kind"`
		}
		if err := json.Unmarshal(e.EventData, &data); err != nil {
			t.Fatal(err)
		}
		kind = data.ErrorKind
	}
	return kind
}

// TestPast: settings and conditions read how dependencies ended, and the run.
func TestPast(t *testing.T) {
	enginetest.Each(t, []tasks.Handler{okHandler, badHandler, echoHandler}, func(t *testing.T, s *enginetest.Stack) {
		ctx := t.Context()
		s.Work(t, ctx, workers.Config{Slots: 4})
		said := `"${{ toJSON([needs.good.status, needs.good.result, needs.good.error, needs.good.attempts, needs.bad.status, needs.bad.result, ` +
			`needs.bad.error, needs.bad.attempts, needs.not.result, needs.good.error_kind, needs.bad.error_kind, run.id, run.pipeline, run.attempt, run.due_at]) }}"`
		retry := tasks.RetryPolicy{MaxAttempts: 2, Backoff: tasks.Fixed, Delay: time.Millisecond}
		needs := []string{"good", "bad", "not"}
		def := s.Define(
			t, "past",
			definition.Task{ID: "good", Uses: "ok"},
			definition.Task{ID: "bad", Uses: "bad", Retry: retry},
			definition.Task{ID: "not", Uses: "ok", If: "false"},
			definition.Task{
				ID: "say", Uses: "echo", Needs: needs, TriggerRule: "all_done", With: json.RawMessage(`{"v": ` + said + `}`),
				If: `needs.good.result == "success" and needs.bad.attempts == 2 * run.attempt and needs.bad.error contains "went wrong" and run.pipeline == "past"
					and needs.bad.error_kind == "error" and needs.good.error_kind == nil and run.due_at == nil`,
			},
			definition.Task{ID: "quiet", Uses: "ok", Needs: needs, TriggerRule: "all_done", If: `needs.bad.status == "Completed"`},
		)
		id := s.Start(t, ctx, def, "")
		for attempt := 1; attempt <= 2; attempt++ {
			if x := s.Wait(t, ctx, id); x.Attempt != attempt {
				t.Errorf("the run's attempt is %d, want %d", x.Attempt, attempt)
			}
			checkPast(t, s, id, attempt)
			if attempt == 1 {
				must(t, s.Engine.Retry(ctx, pipelines.Order{ID: id, Actor: "test"}, ""))
			}
		}
	})
}

// checkPast sees what the tasks of TestPast have read.
func checkPast(t *testing.T, s *enginetest.Stack, id db.ID, attempt int) {
	t.Helper()
	list, err := s.Tasks.ListByPipeline(t.Context(), id)
	must(t, err)
	want := fmt.Sprintf(`["Completed","success",null,1,"Failed","failure","it went wrong",%d,"skipped",null,"error","%s","past",%d,null]`, 2*attempt, id, attempt)
	for _, row := range list {
		switch row.TaskName {
		case "say":
			var out struct{ V string }
			if err := json.Unmarshal(row.Output, &out); err != nil || out.V != want {
				t.Errorf("%s %s: %s (%v), want %s", row.Status, row.Error, out.V, err, want)
			}
		case "bad":
			if row.ErrorKind != tasks.KindError {
				t.Errorf("error_kind of bad is %q", row.ErrorKind)
			}
		case "quiet":
			if row.Status != tasks.Skipped {
				t.Errorf("quiet is %s: %s", row.Status, row.Error)
			}
		}
	}
}
