package inspect_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/history"
	"github.com/sluiceworks/sluice/modules/inspect"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/modules/tasks/taskstore"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// TestAttempts checks that a deferral continues its attempt, that a lost worker and an operator's retry begin new
// ones, and that events after the end of an attempt do not change it.
func TestAttempts(t *testing.T) {
	t.Parallel()
	id := dbtype.NewID()
	var list []events.Event
	add := func(kind events.Type, data string) {
		version := int64(len(list) + 1)
		list = append(list, events.Event{
			SequenceNum: 100 - version, TaskExecutionID: id, EventType: kind, Version: &version,
			EventData: dbtype.JSON(data), WorkerID: "w", CreatedAt: dbtype.NewTime(time.Unix(version, 0)),
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
	run := inspect.Run{Tasks: []tasks.Task{{ID: id, TaskName: "b", Attempt: 4}}, Past: history.Fold(list)}
	if err := run.Past.DecodeErr(); err != nil {
		t.Fatal(err)
	}
	logs := []taskstore.Log{{TaskExecutionID: id, Attempt: 3, Stderr: "oh"}}
	got := run.Attempts(logs)
	at := func(s int64) dbtype.Time { return dbtype.NewTime(time.Unix(s, 0)) }
	code := 7
	want := []inspect.Attempt{
		{"b", history.Attempt{
			Number: 1, Status: "Failed", WorkerID: "w", StartedAt: at(3), EndedAt: at(6),
			Error: "no", ErrorKind: "exit", ExitCode: &code,
		}, "", ""},
		{"b", history.Attempt{
			Number: 2, Status: "Lost", WorkerID: "w", StartedAt: at(7), EndedAt: at(8),
			Error: "its worker was lost",
		}, "", ""},
		{"b", history.Attempt{
			Number: 3, Status: "Failed", WorkerID: "w", StartedAt: at(9), EndedAt: at(10),
			Error: "never", ErrorKind: "permanent",
		}, "", "oh"},
		{"b", history.Attempt{
			Number: 4, Status: "Cancelled", WorkerID: "w", StartedAt: at(13), EndedAt: at(14),
			Error: "enough",
		}, "", ""},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	// Retention removes events, not logs.
	run.Past = history.Fold(nil)
	if got := run.Attempts(logs); len(got) != 1 || got[0].Number != 3 || got[0].Stderr != "oh" {
		t.Errorf("after retention: %+v", got)
	}
}

// TestDescribeKnowsEveryEvent checks that every type of event has a description.
func TestDescribeKnowsEveryEvent(t *testing.T) {
	t.Parallel()
	seen := map[string]events.Type{}
	for _, kind := range events.Types() {
		s, err := inspect.Describe(events.Event{EventType: kind, EventData: dbtype.JSON("{}")})
		if err != nil || s.What == "" {
			t.Errorf("%s: %+v, %v", kind, s, err)
		}
		seen[s.What] = kind
	}
	if _, err := inspect.Describe(events.Event{EventType: events.TaskFailed, EventData: dbtype.JSON("[")}); err == nil {
		t.Error("data that is not JSON goes unnoticed")
	}
	if len(seen) < 14 {
		t.Errorf("only %d different words: %v", len(seen), seen)
	}
}
