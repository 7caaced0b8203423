package eventstore

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// TestGrouped checks that every event is in one group, that the events of a task or pipeline stay in their order, and
// that separate groups are large and uniform.
func TestGrouped(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var list []events.Event
		types := []events.Type{events.TaskStarted, events.TaskFailed}
		for range rapid.SampledFrom([]int{0, 1, 60, 300, 600}).Draw(t, "subjects") {
			e := events.Event{PipelineExecutionID: dbtype.NewID(), TaskExecutionID: dbtype.NewID()}
			for v := range int64(rapid.IntRange(1, 4).Draw(t, "events")) {
				e.EventType, e.Version = rapid.SampledFrom(types).Draw(t, "type"), new(v+1)
				e.EventData = dbtype.JSON(`{}`)
				list = append(list, e)
			}
		}
		versions, seen := map[dbtype.ID]int64{}, 0
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
	turn := func(tasks int) (list []events.Event) {
		for i := range tasks {
			e := events.Event{
				PipelineExecutionID: dbtype.NewID(), TaskExecutionID: dbtype.NewID(), WorkerID: "w",
				EventData: dbtype.JSON(`{}`),
			}
			for step, kind := range []events.Type{events.TaskMarkedReady, events.TaskClaimed, events.TaskStarted} {
				e.EventType, e.Version = kind, new(int64(step+2))
				list = append(list, e)
			}
			if i%100 == 0 {
				list[len(list)-1].EventData = dbtype.JSON(`{"odd": true}`)
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
