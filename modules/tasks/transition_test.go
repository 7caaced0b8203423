package tasks_test

import (
	"slices"
	"testing"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/tasks"
)

// TestTransitionTable holds the table to what must be true of it whatever it says.
func TestTransitionTable(t *testing.T) {
	t.Parallel()
	names, all := map[string]bool{}, append(tasks.Statuses(), "")
	for _, x := range tasks.Transitions() {
		if names[x.Name] {
			t.Errorf("two transitions are named %q", x.Name)
		}
		names[x.Name] = true
		if !slices.Contains(tasks.Statuses(), x.To) || !slices.Contains(events.Types(), x.Event) {
			t.Errorf("%s leads to %q and writes %q", x.Name, x.To, x.Event)
		}
		if want := map[tasks.Status]tasks.SubStatus{tasks.Running: tasks.Active}[x.To]; x.SubStatus != want &&
			x.SubStatus != tasks.Deferred {
			t.Errorf("%s leads to %s/%s", x.Name, x.To, x.SubStatus)
		}
		if (x.To == tasks.Ready) != (x.Outbox == tasks.OutboxAdd) {
			t.Errorf("%s leads to %s with the outbox effect %q: a row stands for Ready", x.Name, x.To, x.Outbox)
		}
		if leaves := slices.Contains(x.From, tasks.Ready) &&
			x.To != tasks.Ready; leaves != (x.Outbox == tasks.OutboxRemove) {
			t.Errorf("%s comes from %v with the outbox effect %q: the row ends with Ready", x.Name, x.From, x.Outbox)
		}
		for _, from := range x.From {
			if !slices.Contains(all, from) {
				t.Errorf("%s comes from %q", x.Name, from)
			}
			if from == tasks.Completed && x.Name != tasks.TransitionReopen.Name {
				t.Errorf("%s moves a completed task", x.Name)
			}
			if from.Terminal() && x.To != tasks.NotStarted {
				t.Errorf("%s moves a terminal task to %s", x.Name, x.To)
			}
		}
	}
}

// TestFind gives for each event and status the transition of the table, and none where the table has none.
func TestFind(t *testing.T) {
	t.Parallel()
	for _, event := range events.Types() {
		for _, from := range append(tasks.Statuses(), "") {
			var want []string
			for _, x := range tasks.Transitions() {
				if x.Event == event && (slices.Contains(x.From, from) || len(x.From) == 0 && from == "") {
					want = append(want, x.Name)
				}
			}
			got, ok := tasks.FindTransition(event, from)
			switch {
			case len(want) > 1:
				t.Errorf("%s from %q is ambiguous: %v", event, from, want)
			case ok != (len(want) == 1) || ok && got.Name != want[0]:
				t.Errorf("%s from %q: found %q (%t), expected %v", event, from, got.Name, ok, want)
			}
		}
	}
}

func TestTerminal(t *testing.T) {
	t.Parallel()
	terminal := []tasks.Status{tasks.Completed, tasks.Failed, tasks.Skipped, tasks.Abandoned, tasks.Cancelled}
	for _, s := range tasks.Statuses() {
		if s.Terminal() != slices.Contains(terminal, s) {
			t.Errorf("%s: terminal is %t", s, s.Terminal())
		}
	}
}
