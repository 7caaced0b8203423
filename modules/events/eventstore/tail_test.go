package eventstore_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/events/eventstore"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/db/dbtest"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

const aMinute = time.Minute

// follow sends the events of a tail to a channel until the test ends.
func follow(
	t *testing.T, r *eventstore.Repository, from eventstore.Cursor, o eventstore.TailOptions,
) <-chan eventstore.TailedEvent {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	out, done := make(chan eventstore.TailedEvent), make(chan struct{})
	go func() {
		defer close(done)
		for b, err := range r.Tail(ctx, from, o) {
			if err != nil {
				if !errors.Is(err, context.Canceled) {
					t.Errorf("the tail ended: %v", err)
				}
				return
			}
			for _, e := range b.Events {
				select {
				case out <- e:
				case <-ctx.Done():
				}
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	return out
}

func receive(t *testing.T, from <-chan eventstore.TailedEvent) eventstore.TailedEvent {
	t.Helper()
	select {
	case e := <-from:
		return e
	case <-time.After(aMinute):
		t.Fatal("no event within a minute")
		return eventstore.TailedEvent{}
	}
}

// open begins a transaction that has written events, and returns the function that ends it.
func open(t *testing.T, d *db.DB, r *eventstore.Repository, list ...events.Event) (end func(error)) {
	t.Helper()
	written, result, done := make(chan struct{}), make(chan error), make(chan error, 1)
	go func() {
		done <- d.Transaction(context.Background(), func(tx db.Tx) error {
			b := tx.Batch()
			r.Append(b, list)
			err := b.Send()
			close(written)
			return errors.Join(err, <-result)
		})
	}()
	<-written
	ended := false
	t.Cleanup(func() { // only for a test that has failed before
		if !ended {
			result <- context.Canceled
			if err := <-done; err == nil {
				t.Error("a transaction that was told to fail has been committed")
			}
		}
	})
	return func(err error) {
		t.Helper()
		ended = true
		result <- err
		if got := <-done; !errors.Is(got, err) {
			t.Errorf("the transaction ended with %v, expected %v", got, err)
		}
	}
}

// TestTailWaitsForSmallerNumbers checks that an event whose transaction commits after one with a greater number is
// still returned before it, once, and that a rolled-back transaction delays nothing. It fails if it regards a
// number as settled while an open transaction may still commit a smaller one.
func TestTailWaitsForSmallerNumbers(t *testing.T) {
	t.Parallel()
	d := dbtest.Postgres(t)
	r := eventstore.NewRepository(d)
	id := dbtype.NewID()
	first := open(t, d, r, about(id, events.TaskClaimed))
	second := open(t, d, r, about(id, events.TaskFailed))
	third := open(t, d, r, about(id, events.TaskDeferred))
	tailed := follow(t, r, eventstore.Cursor{}, eventstore.TailOptions{})
	third(nil)
	add(t, d, r, about(id, events.TaskCompleted))
	select {
	case e := <-tailed:
		t.Fatalf("%s came, though events with smaller numbers were under way", e.EventType)
	case <-time.After(300 * time.Millisecond):
	}
	second(errors.New("rolled back"))
	first(nil)
	var got []events.Type
	for range 3 {
		got = append(got, receive(t, tailed).EventType)
	}
	if diff := cmp.Diff([]events.Type{events.TaskClaimed, events.TaskDeferred, events.TaskCompleted}, got); diff != "" {
		t.Error(diff)
	}
}

// TestTailIsEachOnesOwnOrder checks that events are ordered by their numbers, and not by the ids of their
// transactions. A transaction that began to write first, and so has the smaller id, may write a task's later event.
func TestTailIsEachOnesOwnOrder(t *testing.T) {
	t.Parallel()
	d := dbtest.Postgres(t)
	r := eventstore.NewRepository(d)
	id, other := dbtype.NewID(), dbtype.NewID()
	err := d.Transaction(t.Context(), func(tx db.Tx) error {
		b := tx.Batch()
		r.Append(b, []events.Event{about(other, events.TaskClaimed)})
		if err := b.Send(); err != nil {
			return err
		}
		add(t, d, r, about(id, events.TaskMarkedReady)) // commits now, with a greater transaction id
		r.Append(b, []events.Event{about(id, events.TaskClaimed)})
		return b.Send()
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []events.Type
	for _, e := range take(t, r, "", 3) {
		if e.PipelineExecutionID == id {
			got = append(got, e.EventType)
		}
	}
	if diff := cmp.Diff([]events.Type{events.TaskMarkedReady, events.TaskClaimed}, got); diff != "" {
		t.Error(diff)
	}
}

// TestTailGivesAllFromAnyCursor checks, with batches of any size, that a tail from the cursor of any event returns
// all later events, and those that are committed afterwards.
func TestTailGivesAllFromAnyCursor(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *eventstore.Repository) {
		var list []events.Event
		for i := range 37 {
			e := about(dbtype.NewID(), events.Types()[i%len(events.Types())])
			e.TaskExecutionID, e.WorkerID, e.EventData = dbtype.NewID(), "w", dbtype.JSON(fmt.Sprintf(`{"n": %d}`, i))
			list = append(list, e)
		}
		add(t, d, r, list[:30]...)
		all := take(t, r, "", 30)
		for i := range all {
			for _, size := range []int{1, 7, 0} {
				rest := takeBy(t, r, all[i].Cursor.String(), len(all)-i-1, eventstore.TailOptions{Batch: size})
				if diff := cmp.Diff(plain(all[i+1:]), plain(rest)); diff != "" {
					t.Fatalf("behind event %d, in batches of %d: %s", i, size, diff)
				}
			}
		}
		tailed := follow(t, r, all[29].Cursor, eventstore.TailOptions{})
		add(t, d, r, list[30:]...)
		for range list[30:] {
			all = append(all, receive(t, tailed))
		}
		whole, err := r.List(t.Context(), eventstore.Filter{})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(whole, plain(all)); diff != "" {
			t.Error(diff)
		}
	})
}

func plain(list []eventstore.TailedEvent) []events.Event {
	out := []events.Event{}
	for _, e := range list {
		out = append(out, e.Event)
	}
	return out
}

// TestTailFilters checks that a tail returns only selected events, and advances past the others.
func TestTailFilters(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *eventstore.Repository) {
		mine := dbtype.NewID()
		add(t, d, r, about(mine, events.TaskClaimed), about(dbtype.NewID(), events.TaskClaimed))
		now := add(t, d, r, about(mine, events.TaskFailed), about(mine, events.TaskClaimed))
		add(t, d, r, about(dbtype.NewID(), events.Annotation))
		end := take(t, r, "", 5)[4].Cursor
		for _, c := range []struct {
			filter eventstore.Filter
			want   []int64
		}{
			{eventstore.Filter{PipelineExecutionID: mine}, []int64{1, 3, 4}},
			{eventstore.Filter{EventType: events.TaskClaimed}, []int64{1, 2, 4}},
			{eventstore.Filter{PipelineExecutionID: mine, EventType: events.TaskClaimed}, []int64{1, 4}},
			{eventstore.Filter{Page: eventstore.Page{Since: now}}, []int64{3, 4, 5}},
			{eventstore.Filter{TaskExecutionID: mine}, nil}, // there is no such task
		} {
			var got []int64
			ctx, cancel := context.WithTimeout(t.Context(), aMinute)
			for b, err := range r.Tail(ctx, eventstore.Cursor{}, eventstore.TailOptions{Filter: c.filter, Batch: 2}) {
				if err != nil {
					t.Fatalf("%+v: %v after %v", c.filter, err, got)
				}
				for _, e := range b.Events {
					got = append(got, e.SequenceNum)
				}
				if b.Cursor == end {
					break
				}
			}
			cancel()
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("%+v: %s", c.filter, diff)
			}
		}
	})
}

// TestTailBatchesAreBounded checks that batches are also bounded by their data, however large the events are.
func TestTailBatchesAreBounded(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *eventstore.Repository) {
		large := about(dbtype.NewID(), events.Annotation)
		large.EventData = dbtype.JSON(`{"x": "` + string(slices.Repeat([]byte("x"), 1<<20)) + `"}`)
		for range 9 {
			add(t, d, r, large)
		}
		n := 0
		for b, err := range r.Tail(t.Context(), eventstore.Cursor{}, eventstore.TailOptions{}) {
			if err != nil {
				t.Fatal(err)
			}
			if len(b.Events) > 4 {
				t.Errorf("a batch of %d MiB", len(b.Events))
			}
			if n += len(b.Events); n == 9 {
				break
			}
		}
	})
}

// TestTailEndsWithItsContext checks that a tail ends with its context, whatever it is doing.
func TestTailEndsWithItsContext(t *testing.T) {
	each(t, func(t *testing.T, _ *db.DB, r *eventstore.Repository) {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		for b, err := range r.Tail(ctx, eventstore.Cursor{}, eventstore.TailOptions{}) {
			if len(b.Events) > 0 || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%+v, %v", b, err)
			}
		}
		for _, err := range r.Tail(db.WithTenant(t.Context(), "nowhere"), eventstore.Cursor{},
			eventstore.TailOptions{}) {
			if !errors.Is(err, db.ErrTenantNotFound) {
				t.Errorf("got %v, expected ErrNoTenant", err)
			}
		}
	})
}
