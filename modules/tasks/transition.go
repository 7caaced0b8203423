package tasks

import (
	"slices"

	"github.com/sluiceworks/sluice/modules/events"
)

// OutboxEffect is what a transition does to the outbox.
type OutboxEffect string

// A transition into Ready adds the task's row (its pipeline being Running), one out of Ready removes it if there is
// one.
const (
	OutboxUnchanged OutboxEffect = ""
	OutboxAdd       OutboxEffect = "add"
	OutboxRemove    OutboxEffect = "remove"
)

// Transition is one row of the state machine: the only ways a task's status may change.
// From is empty for creation. A transition counts one step of the task's version and writes one event.
type Transition struct {
	Name      string
	From      []Status
	To        Status
	SubStatus SubStatus
	Event     events.Type
	Outbox    OutboxEffect
}

// The transition table (docs/architecture.md draws it). Resume and TransitionMarkStarted do not move a status: they say
// within Running that a deferral has ended, and that the handler may have run.
var (
	TransitionCreate        = Transition{Name: "create", To: NotStarted, Event: events.TaskCreated}
	TransitionMarkReady     = Transition{Name: "mark ready", From: []Status{NotStarted}, To: Ready, Event: events.TaskMarkedReady, Outbox: OutboxAdd}
	TransitionClaim         = Transition{Name: "claim", From: []Status{Ready}, To: Running, SubStatus: Active, Event: events.TaskClaimed, Outbox: OutboxRemove}
	TransitionResume        = Transition{Name: "resume", From: []Status{Running}, To: Running, SubStatus: Active, Event: events.TaskResumed}
	TransitionMarkStarted   = Transition{Name: "mark started", From: []Status{Running}, To: Running, SubStatus: Active, Event: events.TaskStarted}
	TransitionDefer         = Transition{Name: "defer", From: []Status{Running}, To: Ready, SubStatus: Deferred, Event: events.TaskDeferred, Outbox: OutboxAdd}
	TransitionComplete      = Transition{Name: "complete", From: []Status{Running}, To: Completed, Event: events.TaskCompleted}
	TransitionScheduleRetry = Transition{Name: "schedule retry", From: []Status{Running}, To: Ready, Event: events.TaskRetryScheduled, Outbox: OutboxAdd}
	TransitionFail          = Transition{Name: "fail", From: []Status{Running}, To: Failed, Event: events.TaskFailed}
	TransitionSkip          = Transition{Name: "skip", From: []Status{NotStarted}, To: Skipped, Event: events.TaskSkipped}
	SkipRunning             = Transition{Name: "skip running", From: []Status{Running}, To: Skipped, Event: events.TaskSkipped}
	TransitionReset         = Transition{Name: "reset", From: []Status{Running}, To: Ready, Event: events.TaskReset, Outbox: OutboxAdd}
	TransitionReopen        = Transition{Name: "reopen", From: []Status{Completed, Failed, Abandoned, Cancelled, Skipped}, To: NotStarted, Event: events.TaskReset}
	TransitionAbandon       = Transition{Name: "abandon", From: []Status{NotStarted, Ready, Running}, To: Abandoned, Event: events.TaskAbandoned, Outbox: OutboxRemove}
	TransitionCancel        = Transition{Name: "cancel", From: []Status{NotStarted, Ready, Running}, To: Cancelled, Event: events.TaskCancelled, Outbox: OutboxRemove}
)

// Transitions lists the whole table.
func Transitions() []Transition {
	return []Transition{TransitionCreate, TransitionMarkReady, TransitionClaim, TransitionResume, TransitionMarkStarted, TransitionDefer, TransitionComplete, TransitionScheduleRetry, TransitionFail, TransitionSkip, SkipRunning, TransitionReset, TransitionReopen, TransitionAbandon, TransitionCancel}
}

// FindTransition gives the transition that an event of this type records for a task in status from ("" before its
// creation).
func FindTransition(event events.Type, from Status) (Transition, bool) {
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
