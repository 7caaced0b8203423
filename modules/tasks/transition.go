package tasks

import (
	"slices"

	"github.com/sluiceworks/sluice/modules/events"
)

// OutboxEffect is the effect of a transition on the outbox.
type OutboxEffect string

// A transition to Ready inserts the task's outbox row if the pipeline execution is Running. A transition from Ready
// deletes the row if it exists.
const (
	OutboxUnchanged OutboxEffect = ""
	OutboxAdd       OutboxEffect = "add"
	OutboxRemove    OutboxEffect = "remove"
)

// Transition is one row of the transition table of tasks. No other change of a task's status is allowed. From is empty
// for the creation. Each transition increments the task's version and appends one event.
type Transition struct {
	Name      string
	From      []Status
	To        Status
	SubStatus SubStatus
	Event     events.Type
	Outbox    OutboxEffect

	WritesRemaining bool // it writes the task's remaining dependencies with the row
}

// The transition table (see the diagram in docs/architecture.md). TransitionResume and TransitionMarkStarted do not
// change the status Running. They record that a deferral has ended, and that the handler may have run.
var (
	TransitionCreate    = Transition{Name: "create", To: NotStarted, Event: events.TaskCreated}
	TransitionMarkReady = Transition{
		Name: "mark ready", From: []Status{NotStarted}, To: Ready,
		Event: events.TaskMarkedReady, Outbox: OutboxAdd, WritesRemaining: true,
	}
	TransitionClaim = Transition{
		Name: "claim", From: []Status{Ready}, To: Running, SubStatus: Active,
		Event: events.TaskClaimed, Outbox: OutboxRemove,
	}
	TransitionResume = Transition{
		Name: "resume", From: []Status{Running}, To: Running, SubStatus: Active,
		Event: events.TaskResumed,
	}
	TransitionMarkStarted = Transition{
		Name: "mark started", From: []Status{Running}, To: Running, SubStatus: Active,
		Event: events.TaskStarted,
	}
	TransitionDefer = Transition{
		Name: "defer", From: []Status{Running}, To: Ready, SubStatus: Deferred,
		Event: events.TaskDeferred, Outbox: OutboxAdd,
	}
	TransitionComplete = Transition{
		Name: "complete", From: []Status{Running}, To: Completed,
		Event: events.TaskCompleted,
	}
	TransitionScheduleRetry = Transition{
		Name: "schedule retry", From: []Status{Running}, To: Ready,
		Event: events.TaskRetryScheduled, Outbox: OutboxAdd,
	}
	TransitionFail = Transition{Name: "fail", From: []Status{Running}, To: Failed, Event: events.TaskFailed}
	TransitionSkip = Transition{
		Name: "skip", From: []Status{NotStarted}, To: Skipped,
		Event: events.TaskSkipped, WritesRemaining: true,
	}
	SkipRunning = Transition{
		Name: "skip running", From: []Status{Running}, To: Skipped,
		Event: events.TaskSkipped,
	}
	TransitionReset = Transition{
		Name: "reset", From: []Status{Running}, To: Ready, Event: events.TaskReset,
		Outbox: OutboxAdd,
	}
	TransitionReopen = Transition{Name: "reopen", From: []Status{
		Completed, Failed, Abandoned, Cancelled,
		Skipped,
	}, To: NotStarted, Event: events.TaskReset, WritesRemaining: true}
	TransitionAbandon = Transition{
		Name: "abandon", From: []Status{NotStarted, Ready, Running}, To: Abandoned,
		Event: events.TaskAbandoned, Outbox: OutboxRemove, WritesRemaining: true,
	}
	TransitionCancel = Transition{
		Name: "cancel", From: []Status{NotStarted, Ready, Running}, To: Cancelled,
		Event: events.TaskCancelled, Outbox: OutboxRemove, WritesRemaining: true,
	}
)

// Transitions returns all transitions.
func Transitions() []Transition {
	return []Transition{
		TransitionCreate, TransitionMarkReady, TransitionClaim, TransitionResume, TransitionMarkStarted,
		TransitionDefer, TransitionComplete, TransitionScheduleRetry, TransitionFail, TransitionSkip, SkipRunning,
		TransitionReset, TransitionReopen, TransitionAbandon, TransitionCancel,
	}
}

// FindTransition returns the transition that an event of the given type records for a task with status from. from is ""
// for a creation.
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
