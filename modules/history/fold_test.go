package history_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/history"
)

// TestFoldOfABrokenHistory checks that a history that stops to be legal has no state and no timeline, and that its
// attempts and pauses are known up to its last event.
func TestFoldOfABrokenHistory(t *testing.T) {
	t.Parallel()
	h := begin().claim(2, "a", "1").
		add(3, "b", events.TaskFailed, "w", `{"attempt": 1, "error": "x", "error_kind": "exit"}`). // illegal
		add(4, "a", events.TaskFailed, "w", `{"attempt": 1, "error": "no", "error_kind": "exit", "exit_code": 7}`).
		add(5, "", events.PipelinePaused, "", `{"reason": "why"}`).
		add(6, "", events.PipelineCancelled, "", `{"reason": ""}`)
	for name, list := range map[string][]events.Event{"illegal": h.list, "a gap": append(h.list[:3:3], h.list[4:]...)} {
		p := history.Fold(list)
		if _, err := p.State(); !errors.Is(err, history.ErrBroken) {
			t.Errorf("%s: state: %v", name, err)
		}
		if _, err := p.Timeline(moment(9)); !errors.Is(err, history.ErrBroken) {
			t.Errorf("%s: timeline: %v", name, err)
		}
		a, code := p.Task(h.ids["a"]), 7
		want := history.Attempt{
			Number: 1, Status: "Failed", WorkerID: "w", StartedAt: moment(2), EndedAt: moment(4),
			Error: "no", ErrorKind: "exit", ExitCode: &code,
		}
		if len(a.Attempts) != 1 || a.Current == nil || a.Last.EventType != events.TaskFailed {
			t.Fatalf("%s: %+v", name, a)
		}
		if diff := cmp.Diff(want, *a.Current); diff != "" || p.DecodeErr() != nil {
			t.Errorf("%s: %v\n%s", name, p.DecodeErr(), diff)
		}
		if b := p.Task(h.ids["b"]); !cmp.Equal(b.Needs, []string{"a"}) || len(b.Attempts) != 0 {
			t.Errorf("%s: b: %+v", name, b)
		}
		if p.LastPause().CreatedAt != moment(5) || p.LastCancellation().CreatedAt != moment(6) {
			t.Errorf("%s: %+v, %+v", name, p.LastPause(), p.LastCancellation())
		}
	}
}

// TestFoldOfUndecodableData checks that an event whose data cannot be decoded is named, and that the others count.
func TestFoldOfUndecodableData(t *testing.T) {
	t.Parallel()
	h := begin().claim(2, "a", "1").add(3, "b", events.TaskClaimed, "w", `[]`).
		add(4, "a", events.TaskCompleted, "w", `{"attempt": 1, "duration_ms": 2000}`)
	p := history.Fold(h.list)
	if err := p.DecodeErr(); err == nil || !strings.HasPrefix(err.Error(), "event 7: read its data: ") {
		t.Errorf("error: %v", err)
	}
	if a := p.Task(h.ids["a"]).Current; a == nil || a.Status != "Completed" {
		t.Errorf("a: %+v", a)
	}
}

// TestFoldIsReadTwice checks that a timeline and a state do not change what a fold yields later.
func TestFoldIsReadTwice(t *testing.T) {
	t.Parallel()
	h := begin().claim(2, "a", "1")
	p := history.Fold(h.list)
	if _, err := p.Timeline(moment(5)); err != nil {
		t.Fatal(err)
	}
	if _, err := p.State(); err != nil {
		t.Fatal(err)
	}
	got, err := p.Timeline(moment(9))
	if err != nil {
		t.Fatal(err)
	}
	want, err := history.Fold(h.list).Timeline(moment(9))
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
}
