package engine_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/sluiceworks/sluice/modules/enginetest"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/modules/workers"
)

// filler returns an output of 1,000 bytes, or echoes what it is given.
type filler struct{}

func (filler) Name() string               { return "fill" }
func (filler) Check(map[string]any) error { return nil }
func (filler) Run(_ context.Context, call *tasks.Attempt) (json.RawMessage, error) {
	if call.TaskName[0] == 't' {
		return json.RawMessage(`"` + strings.Repeat("x", 998) + `"`), nil
	}
	return call.With, nil
}

// TestOutputsThatAreTooLargeTogether: a task, or a condition, that reads more outputs than the limit allows fails once,
// with the sizes; one that reads fewer of the same outputs runs.
func TestOutputsThatAreTooLargeTogether(t *testing.T) {
	t.Parallel()
	enginetest.Each(t, []tasks.Handler{filler{}}, func(t *testing.T, s *enginetest.Stack) {
		s.Engine.LimitNeeds(40_500)
		const sources = 50
		var names []string
		var list []definition.Task
		for i := range sources {
			name := fmt.Sprintf("t%02d", i)
			names, list = append(names, name), append(list, definition.Task{ID: name, Uses: "fill"})
		}
		reading := func(n int) string { return "len([needs." + strings.Join(names[:n], ", needs.") + "])" }
		with := func(n int) json.RawMessage { return json.RawMessage(`{"n": "${{ ` + reading(n) + ` }}"}`) }
		list = append(
			list,
			definition.Task{ID: "fits", Uses: "fill", Needs: names, With: with(40)},
			definition.Task{
				ID: "many", Uses: "fill", Needs: names, With: with(sources),
				Retry: tasks.RetryPolicy{MaxAttempts: 3},
			},
			definition.Task{ID: "if", Uses: "fill", Needs: names, If: reading(sources) + " > 0"},
			definition.Task{ID: "none", Uses: "fill", Needs: names},
		)
		def := s.Define(t, "wide", list...)
		stop := s.Work(t, t.Context(), workers.Config{Slots: 4})
		defer stop()
		id := s.Start(t, t.Context(), def, "")
		if x := s.Wait(t, t.Context(), id); x.Status != pipelines.Failed {
			t.Errorf("the run is %s", x.Status)
		}
		got, err := s.Tasks.ListByPipeline(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range got[sources:] {
			refused := (row.Status == tasks.Failed || row.TaskName == "if" && row.Status == tasks.Abandoned) &&
				row.ErrorKind == tasks.KindExpression && row.Attempt <= 1 &&
				strings.Contains(string(row.Error), "outputs that ") &&
				strings.Contains(string(row.Error), "of 50 have 0.") &&
				strings.Contains(string(row.Error), "the largest: t")
			switch row.TaskName {
			case "many", "if":
				if !refused {
					t.Errorf("%s is %s after attempt %d: %s %s", row.TaskName, row.Status, row.Attempt, row.ErrorKind,
						row.Error)
				}
			case "fits":
				if row.Status != tasks.Completed || !strings.Contains(string(row.Output), "40") {
					t.Errorf("%s is %s with %s: %s", row.TaskName, row.Status, row.Output, row.Error)
				}
			default:
				if row.Status != tasks.Completed {
					t.Errorf("%s is %s: %s", row.TaskName, row.Status, row.Error)
				}
			}
		}
	})
}
