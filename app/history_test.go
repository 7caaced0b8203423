package app

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/events/eventstore"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// TestFollowerMissesNothing checks that an event whose transaction commits after one with a greater number is
// returned, once.
func TestFollowerMissesNothing(t *testing.T) {
	t.Parallel()
	d := dbtest.Postgres(t)
	repo := eventstore.NewRepository(d)
	id := dbtype.NewID()
	write := func(kind events.Type) func(db.Tx) error {
		return func(tx db.Tx) error {
			b := tx.Batch()
			repo.Append(b, []events.Event{{PipelineExecutionID: id, EventType: kind, EventData: dbtype.JSON("{}")}})
			return b.Send()
		}
	}
	f := newFollower(repo, id)
	now := d.Now()
	var got []events.Type
	look := func(later time.Duration, back bool) {
		t.Helper()
		list, err := f.next(t.Context(), now.Add(later), back)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list {
			got = append(got, e.EventType)
		}
	}
	look(0, false)
	held, release := make(chan struct{}), make(chan struct{})
	slow := make(chan error, 1)
	go func() {
		slow <- d.Transaction(t.Context(), func(tx db.Tx) error {
			err := write(events.TaskClaimed)(tx)
			close(held)
			<-release
			return err
		})
	}()
	<-held
	if err := d.Transaction(t.Context(), write(events.TaskCompleted)); err != nil {
		t.Fatal(err)
	}
	look(10*time.Millisecond, false) // sees only the greater number
	close(release)
	if err := <-slow; err != nil {
		t.Fatal(err)
	}
	look(20*time.Millisecond, false) // too soon to look back
	look(1100*time.Millisecond, false)
	look(2200*time.Millisecond, false)
	look(9*time.Second, true)
	look(20*time.Second, true)
	if diff := cmp.Diff([]events.Type{events.TaskCompleted, events.TaskClaimed}, got); diff != "" {
		t.Error(diff)
	}
	if len(f.seen) != 0 {
		t.Errorf("it remembers %d settled events", len(f.seen))
	}
}
