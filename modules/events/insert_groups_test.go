package events

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/sluiceworks/sluice/platform/db"
)

// TestGrouped checks that every event is in one group, that the events of a task or pipeline stay in their order, and
// that separate groups are large and uniform.
func TestGrouped(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var list []Event
		types := []Type{TaskStarted, TaskFailed}
		for range rapid.SampledFrom([]int{0, 1, 60, 300, 600}).Draw(t, "subjects") {
			e := Event{PipelineExecutionID: db.NewID(), TaskExecutionID: db.NewID()}
			for v := range int64(rapid.IntRange(1, 4).Draw(t, "events")) {
				e.EventType, e.Version = rapid.SampledFrom(types).Draw(t, "type"), new(v+1)
				e.EventData = db.JSON(`{}`)
				list = append(list, e)
			}
		}
		versions, seen := map[db.ID]int64{}, 0
		groups := groupByShape(list)
		for _, g := range groups {
			if len(g) == 0 && len(list) > 0 {
				t.Fatal("an empty group")
			}
			for _, e := range g {
				if seen++; *e.Version != versions[e.TaskExecutionID]+1 {
					t.Fatalf("version %d after %d", *e.Version, versions[e.TaskExecutionID])
				}
				versions[e.TaskExecutionID] = *e.Version
			}
		}
		if seen != len(list) {
			t.Fatalf("%d of %d events", seen, len(list))
		}
		if most := 4 * (len(types) + 1); len(groups) > most {
			t.Fatalf("%d groups", len(groups))
		}
	})
}

// TestGroupedAlike checks that the similar events of a large exchange are grouped, and that few events are not.
func TestGroupedAlike(t *testing.T) {
	t.Parallel()
	turn := func(tasks int) (list []Event) {
		for i := range tasks {
			e := Event{PipelineExecutionID: db.NewID(), TaskExecutionID: db.NewID(), WorkerID: "w", EventData: db.JSON(`{}`)}
			for step, kind := range []Type{TaskMarkedReady, TaskClaimed, TaskStarted} {
				e.EventType, e.Version = kind, new(int64(step+2))
				list = append(list, e)
			}
			if i%100 == 0 {
				list[len(list)-1].EventData = db.JSON(`{"odd": true}`)
			}
		}
		return list
	}
	for _, tt := range []struct{ tasks, groups int }{{1, 1}, {40, 1}, {200, 4}} {
		if got := len(groupByShape(turn(tt.tasks))); got != tt.groups {
			t.Errorf("%d tasks: %d groups, want %d", tt.tasks, got, tt.groups)
		}
	}
}
