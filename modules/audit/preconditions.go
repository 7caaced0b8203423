package audit

import (
	"fmt"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/tasks"
)

// guard checks the conditions of a transition other than its status: who may write it, and for which attempt. It
// detects writes of a worker that had lost its claim, although what they overwrote is not visible any more.
func (f *taskFold) guard(t tasks.Transition, e *event, d *eventData) *problem {
	switch t.Event {
	case events.TaskClaimed:
		return f.guardClaim(e, d)
	case events.TaskResumed, events.TaskStarted, events.TaskDeferred, events.TaskCompleted, events.TaskFailed:
		return f.guardHeld(e, d)
	case events.TaskSkipped:
		return f.guardSkip(e, d)
	case events.TaskRetryScheduled:
		return f.guardRetry(e, d)
	case events.TaskReset:
		return f.guardReset(t, e, d)
	case events.TaskAbandoned, events.TaskCancelled:
		return f.guardLost(e.typ, d)
	}
	return nil
}

func (f *taskFold) guardClaim(e *event, d *eventData) *problem {
	if e.worker == "" {
		return &problem{I5, "task_claimed by no worker", "the worker that claims"}
	}
	want := f.attempt + 1
	if f.sub == tasks.Deferred {
		want = f.attempt
	}
	return wrongAttempt(e.typ, *d.Attempt, want)
}

// guardHeld checks a transition that only the holder of the claim may write.
func (f *taskFold) guardHeld(e *event, d *eventData) *problem {
	if e.worker != f.worker {
		return &problem{I5, fmt.Sprintf("%s by %s", e.typ, workerText(e.worker)), "by " + workerText(f.worker) +
			", who holds the claim"}
	}
	if d.Attempt == nil {
		return nil
	}
	return wrongAttempt(e.typ, *d.Attempt, f.attempt)
}

// guardSkip checks the reason of a skip. Only a running task's own command skips it by its exit code, and only the
// holder of the claim may write that.
func (f *taskFold) guardSkip(e *event, d *eventData) *problem {
	running := f.status == tasks.Running
	if running != (*d.Reason == string(tasks.SkipExitCode)) || running && (d.Attempt == nil || d.ExitCode == nil) {
		return &problem{
			I3, fmt.Sprintf("task_skipped of a task that is %s, reason %s", f.status, short(*d.Reason)),
			"the reason exit_code, with attempt and exit_code, if and only if it is Running",
		}
	}
	if !running {
		return nil
	}
	return f.guardHeld(e, d)
}

func (f *taskFold) guardRetry(e *event, d *eventData) *problem {
	if p := f.guardHeld(e, d); p != nil {
		return p
	}
	if *d.NextAttempt != f.attempt+1 {
		return &problem{
			I5, fmt.Sprintf("task_retry_scheduled for attempt %d", *d.NextAttempt),
			fmt.Sprintf("attempt %d", f.attempt+1),
		}
	}
	if f.attempt-f.recoveries >= f.maxAttempts {
		return &problem{
			I3, fmt.Sprintf("task_retry_scheduled after attempt %d, %d of them lost with their worker", f.attempt,
				f.recoveries),
			fmt.Sprintf("task_failed: it has %d attempts", f.maxAttempts),
		}
	}
	return nil
}

// guardReset checks a reset. A recovery counts itself and names the worker that lost the claim. A worker that
// releases a task must hold its claim. An operator's retry resets the counts.
func (f *taskFold) guardReset(t tasks.Transition, e *event, d *eventData) *problem {
	expired := *d.Cause == tasks.CauseLeaseExpired
	switch {
	case !expired && *d.Cause != tasks.CauseOperator:
		return &problem{I2, "task_reset of cause " + short(*d.Cause), tasks.CauseLeaseExpired + " or " +
			tasks.CauseOperator}
	case t.To == tasks.NotStarted && (expired || d.MaxAttempts == nil):
		return &problem{
			I2, "task_reset to NotStarted by " + *d.Cause + " or without max_attempts",
			"an operator's retry with max_attempts",
		}
	case t.To == tasks.NotStarted && *d.MaxAttempts != f.attempt+f.allowed:
		return &problem{
			I2, fmt.Sprintf("task_reset with max_attempts %d", *d.MaxAttempts),
			fmt.Sprintf("%d: %d more than the attempts there were", f.attempt+f.allowed, f.allowed),
		}
	case t.To == tasks.NotStarted:
		return wrongRecoveries(*d.Recoveries, 0)
	}
	if p := f.guardLost(t.Event, d); p != nil {
		return p
	}
	if expired {
		return wrongRecoveries(*d.Recoveries, f.recoveries+1)
	}
	if p := f.guardHeld(e, d); p != nil {
		return p
	}
	if d.MaxAttempts != nil && *d.MaxAttempts != f.maxAttempts+1 { // the released attempt does not count
		return &problem{
			I2, fmt.Sprintf("task_reset with max_attempts %d", *d.MaxAttempts),
			fmt.Sprint("max_attempts ", f.maxAttempts+1),
		}
	}
	return wrongRecoveries(*d.Recoveries, f.recoveries)
}

func (f *taskFold) guardLost(e events.Type, d *eventData) *problem {
	lost := ""
	if d.Worker != nil {
		lost = *d.Worker
	}
	if lost != f.worker {
		return &problem{I5, fmt.Sprintf("%s takes the task from %s", e, workerText(lost)), "from " +
			workerText(f.worker) + ", who holds the claim"}
	}
	return nil
}

func wrongRecoveries(got, want int64) *problem {
	if got == want {
		return nil
	}
	return &problem{I2, fmt.Sprintf("task_reset with recoveries %d", got), fmt.Sprint("recoveries ", want)}
}

func wrongAttempt(e events.Type, got, want int64) *problem {
	if got == want {
		return nil
	}
	return &problem{I5, fmt.Sprintf("%s of attempt %d", e, got), fmt.Sprintf("attempt %d", want)}
}

func workerText(w string) string {
	if w == "" {
		return "no worker"
	}
	return "worker " + short(w)
}
