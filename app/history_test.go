package app

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/events/eventstore"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/modules/tasks/taskstore"
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
			repo.Append(tx, []events.Event{{PipelineExecutionID: id, EventType: kind, EventData: dbtype.JSON("{}")}})
			return nil
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

// TestAttempts checks that a deferral continues its attempt, that a lost worker and an operator's retry begin new
// ones, and that events after the end of an attempt do not change it.
func TestAttempts(t *testing.T) {
	t.Parallel()
	id := dbtype.NewID()
	var list []events.Event
	add := func(kind events.Type, data string) {
		version := int64(len(list) + 1)
		list = append(list, events.Event{
			SequenceNum: 100 - version, TaskExecutionID: id, EventType: kind, Version: &version, EventData: dbtype.JSON(data), WorkerID: "w",
			CreatedAt: dbtype.NewTime(time.Unix(version, 0)),
		})
	}
	add(events.TaskCreated, `{"needs": ["a"]}`)
	add(events.TaskMarkedReady, `{}`)
	add(events.TaskClaimed, `{"attempt": 1}`)
	add(events.TaskDeferred, `{"attempt": 1}`)
	add(events.TaskClaimed, `{"attempt": 1}`)
	add(events.TaskRetryScheduled, `{"attempt": 1, "error": "no", "error_kind": "exit", "exit_code": 7}`)
	add(events.TaskClaimed, `{"attempt": 2}`)
	add(events.TaskReset, `{"cause": "lease_expired", "worker": "w"}`)
	add(events.TaskClaimed, `{"attempt": 3}`)
	add(events.TaskFailed, `{"attempt": 3, "error": "never", "error_kind": "permanent"}`)
	add(events.TaskReset, `{"cause": "operator"}`)
	add(events.TaskMarkedReady, `{}`)
	add(events.TaskClaimed, `{"attempt": 4}`)
	add(events.TaskCancelled, `{"reason": "enough"}`)
	h, err := readHistory(list, false)
	if err != nil {
		t.Fatal(err)
	}
	logs := []taskstore.Log{{TaskExecutionID: id, Attempt: 3, Stderr: "oh"}}
	got := h.list([]tasks.Task{{ID: id, TaskName: "b", Attempt: 4}}, logs)
	at := func(s int64) dbtype.Time { return dbtype.NewTime(time.Unix(s, 0)) }
	code := 7
	want := []attempt{
		{"b", 1, "Failed", "w", at(3), at(6), "no", "exit", &code, "", ""},
		{"b", 2, "Lost", "w", at(7), at(8), "its worker was lost", "", nil, "", ""},
		{"b", 3, "Failed", "w", at(9), at(10), "never", "permanent", nil, "", "oh"},
		{"b", 4, "Cancelled", "w", at(13), at(14), "enough", "", nil, "", ""},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	// Retention removes events, not logs.
	h, err = readHistory(nil, true)
	if err != nil {
		t.Fatal(err)
	}
	if got := h.list([]tasks.Task{{ID: id, TaskName: "b", Attempt: 4}}, logs); len(got) != 1 || got[0].Attempt != 3 || got[0].Stderr != "oh" {
		t.Errorf("after retention: %+v", got)
	}
}

// TestTellKnowsEveryEvent checks that every type of event has a description.
func TestTellKnowsEveryEvent(t *testing.T) {
	t.Parallel()
	seen := map[string]events.Type{}
	for _, kind := range events.Types() {
		s, err := describeEvent(events.Event{EventType: kind, EventData: dbtype.JSON("{}")})
		if err != nil || s.what == "" {
			t.Errorf("%s: %+v, %v", kind, s, err)
		}
		seen[s.what] = kind
	}
	if _, err := describeEvent(events.Event{EventType: events.TaskFailed, EventData: dbtype.JSON("[")}); err == nil {
		t.Error("data that is not JSON goes unnoticed")
	}
	if len(seen) < 14 {
		t.Errorf("only %d different words: %v", len(seen), seen)
	}
}
