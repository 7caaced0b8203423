package eventstore_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/events/eventstore"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// TestFollowerMissesNothing checks that a follower returns an event whose transaction commits after one with a greater
// number, however late, and each event once. It does not wait for that transaction.
func TestFollowerMissesNothing(t *testing.T) {
	t.Parallel()
	d := dbtest.Postgres(t)
	r := eventstore.NewRepository(d)
	id := dbtype.NewID()
	add(t, d, r, about(id, events.PipelineStarted))
	newest, err := r.GetRecent(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	f := r.Follow(id, newest[0].SequenceNum)
	defer f.Close()
	var got []events.Type
	next := func(all bool) {
		t.Helper()
		list, err := f.Next(t.Context(), all)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list {
			got = append(got, e.EventType)
		}
	}
	next(false)
	slow := open(t, d, r, about(id, events.TaskClaimed))
	add(t, d, r, about(id, events.TaskCompleted), about(dbtype.NewID(), events.TaskFailed))
	next(false)
	d.AdvanceClock(time.Minute)
	next(false) // looks back, and finds nothing new
	add(t, d, r, about(id, events.Annotation))
	next(true)
	slow(nil)
	next(false) // too soon to look back
	want := []events.Type{events.TaskCompleted, events.Annotation}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	d.AdvanceClock(time.Minute)
	next(false)
	next(true)
	if diff := cmp.Diff(append(want, events.TaskClaimed), got); diff != "" {
		t.Error(diff)
	}
}
