package tasks

import (
	"slices"

	"github.com/sluiceworks/sluice/modules/events"
)

// Effect is what a transition does to the outbox.
type Effect string

// A transition into Ready adds the task's row (its pipeline being Running), one out of Ready removes it if there is one.
const (
	NoEffect Effect = ""
	Add      Effect = "add"
	Remove   Effect = "remove"
)

// Transition is one row of the state machine: the only ways a task's status may change.
// From is empty for creation. A transition counts one step of the task's version and writes one event.
type Transition struct {
	Name   string
	From   []Status
	To     Status
	Sub    SubStatus
	Event  events.Type
	Outbox Effect
}

// The transition table (docs/architecture.md draws it). Resume and MarkStarted do not move a status: they say within
// Running that a deferral has ended, and that the handler may have run.
var (
	Create        = Transition{Name: "create", To: NotStarted, Event: events.TaskCreated}
	MarkReady     = Transition{Name: "mark ready", From: []Status{NotStarted}, To: Ready, Event: events.TaskMarkedReady, Outbox: Add}
	Claim         = Transition{Name: "claim", From: []Status{Ready}, To: Running, Sub: Active, Event: events.TaskClaimed, Outbox: Remove}
	Resume        = Transition{Name: "resume", From: []Status{Running}, To: Running, Sub: Active, Event: events.TaskResumed}
	MarkStarted   = Transition{Name: "mark started", From: []Status{Running}, To: Running, Sub: Active, Event: events.TaskStarted}
	Defer         = Transition{Name: "defer", From: []Status{Running}, To: Ready, Sub: Deferred, Event: events.TaskDeferred, Outbox: Add}
	Complete      = Transition{Name: "complete", From: []Status{Running}, To: Completed, Event: events.TaskCompleted}
	ScheduleRetry = Transition{Name: "schedule retry", From: []Status{Running}, To: Ready, Event: events.TaskRetryScheduled, Outbox: Add}
	Fail          = Transition{Name: "fail", From: []Status{Running}, To: Failed, Event: events.TaskFailed}
	Skip          = Transition{Name: "skip", From: []Status{NotStarted}, To: Skipped, Event: events.TaskSkipped}
	Reset         = Transition{Name: "reset", From: []Status{Running}, To: Ready, Event: events.TaskReset, Outbox: Add}
	Reopen        = Transition{Name: "reopen", From: []Status{Failed, Abandoned, Cancelled, Skipped}, To: NotStarted, Event: events.TaskReset}
	Abandon       = Transition{Name: "abandon", From: []Status{NotStarted, Ready, Running}, To: Abandoned, Event: events.TaskAbandoned, Outbox: Remove}
	Cancel        = Transition{Name: "cancel", From: []Status{NotStarted, Ready, Running}, To: Cancelled, Event: events.TaskCancelled, Outbox: Remove}
)

// Transitions lists the whole table.
func Transitions() []Transition {
	return []Transition{Create, MarkReady, Claim, Resume, MarkStarted, Defer, Complete, ScheduleRetry, Fail, Skip, Reset, Reopen, Abandon, Cancel}
}

// Find gives the transition that an event of this type records for a task in status from ("" before its creation).
func Find(event events.Type, from Status) (Transition, bool) {
	for _, t := range Transitions() {
		if t.Event == event && t.allows(from) {
			return t, true
		}
	}
	return Transition{}, false
}

func (t Transition) allows(from Status) bool {
	if len(t.From) == 0 {
		return from == ""
	}
	return slices.Contains(t.From, from)
}
