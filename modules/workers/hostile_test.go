//go:build !race

package workers_test

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/sluiceworks/sluice/modules/enginetest"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/modules/workers"
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

// TestHostileExpressions: each fails its task with its kind and its text, and all other runs complete beside them.
func TestHostileExpressions(t *testing.T) {
	former := debug.SetGCPercent(400) // as the program has it
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	t.Cleanup(func() {
		debug.SetGCPercent(former)
		runtime.ReadMemStats(&after)
		if grown := int64(after.Sys-before.Sys) >> 20; grown > 2*256 { // two workers, one for each database
			t.Errorf("the process has grown by %d MiB", grown)
		} else {
			t.Logf("the process has grown by %d MiB", grown)
		}
	})
	enginetest.Each(t, []tasks.Handler{okHandler}, func(t *testing.T, s *enginetest.Stack) {
		ctx := t.Context()
		s.Work(t, ctx, workers.Config{Slots: 64})
		plain := s.Define(t, "plain", definition.Task{ID: "a", Uses: "ok"},
			definition.Task{ID: "b", Uses: "ok", Needs: []string{"a"}})
		var failing, others []pipelines.Execution
		for i := range 200 {
			others = append(others, pipelines.Execution{ID: s.Start(t, ctx, plain, "")})
			if i >= len(expensive)*3/2 {
				continue
			}
			source := expensive[i%len(expensive)]
			b := definition.Task{
				ID: "b", Uses: "ok", Needs: []string{"a"},
				With: json.RawMessage(`{"v": ` + quoted("${{ "+source+" }}") + `}`),
			}
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
