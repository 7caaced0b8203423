package eventstore

import (
	"slices"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// An optimisation: the server needs 10 % less time per task if similar events are one INSERT, which sends what they
// have in common once. A list is a correct group, too.

// groupMin is the number of similar events from which they are inserted by a statement of their own.
const groupMin = 64

// shape is what similar events of a transaction have in common: they differ only in their task or pipeline.
type shape struct {
	step          int // the position among the events of its task or pipeline
	eventType     events.Type
	version       int64
	data          string
	worker, actor dbtype.Text
}

// groupByShape splits events into groups, so that what the events of a large group have in common is sent once. Groups
// are ordered by step, which keeps the events of each task and pipeline in their order. The events of one task or
// pipeline must be adjacent in list.
func groupByShape(list []events.Event) [][]events.Event {
	if len(list) < 2*groupMin {
		return [][]events.Event{list}
	}
	of := make([]shape, len(list))
	number := make(map[shape]int, 8)
	step, most := 0, 0
	for i := range list {
		e := &list[i]
		if step++; i == 0 || e.TaskExecutionID != list[i-1].TaskExecutionID ||
			e.PipelineExecutionID != list[i-1].PipelineExecutionID {
			step = 0
		}
		of[i] = shape{step: step, eventType: e.EventType, data: string(e.EventData), worker: e.WorkerID, actor: e.Actor}
		if e.Version != nil {
			of[i].version = *e.Version
		}
		number[of[i]]++
		most = max(most, step)
	}
	var groups [][]events.Event
	for step := range most + 1 {
		groups = append(groups, groupsOfStep(list, of, number, step)...)
	}
	return groups
}

// groupsOfStep returns the groups of one step. The last group holds the events that are not in a large one.
func groupsOfStep(list []events.Event, of []shape, number map[shape]int, step int) [][]events.Event {
	place := map[shape]int{}
	var groups [][]events.Event
	var others []events.Event
	for i := range list {
		switch k := of[i]; {
		case k.step != step:
		case number[k] < groupMin:
			others = append(others, list[i])
		default:
			n, ok := place[k]
			if !ok {
				n = len(groups)
				place[k], groups = n, append(groups, make([]events.Event, 0, number[k]))
			}
			groups[n] = append(groups[n], list[i])
		}
	}
	return slices.DeleteFunc(append(groups, others), func(g []events.Event) bool { return len(g) == 0 })
}
