package tasks

import (
	"testing"
	"time"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// BenchmarkMoves is a task's whole life as moves with their events, without writing them: created and ready, claimed
// and started, completed.
func BenchmarkMoves(b *testing.B) {
	now := dbtype.NewTime(time.Unix(1e9, 0))
	created := Spec{
		ID: dbtype.NewID(), PipelineExecutionID: dbtype.NewID(), TaskName: "task", Handler: "any",
		Queue: DefaultQueue, Priority: Normal, TriggerRule: "all_success", MaxAttempts: 3,
	}
	history := make([]events.Event, 0, 8)
	b.ReportAllocs()
	for b.Loop() {
		ready := Create(created, now).MarkReady(now)
		started := ready.Task.Claim("worker", now, now).MarkStarted()
		ended := started.Task.Complete(nil, nil, now)
		history = history[:0]
		for _, m := range []*Change{ready, started, ended} {
			var err error
			if history, err = m.AppendEvents(history, EventDataCache{}); err != nil || m.failure != nil {
				b.Fatal(err, m.failure)
			}
		}
		if len(history) != 5 {
			b.Fatalf("%d events", len(history))
		}
	}
}
