package audit

import (
	"fmt"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/tasks"
)

// taskFold is a task as its events describe it.
type taskFold struct {
	status  tasks.Status
	sub     tasks.SubStatus
	name    string
	handler string
	rule    string
	needs   []string // names of its dependencies

	attempt, maxAttempts, recoveries     int64
	allowed                              int64 // attempts that its definition allows, before any operator's retry
	worker, err, errKind, skipReason     string
	forgiven                             bool   // its failure does not make the pipeline fail
	retryAt, created, started, completed number // microseconds since 1970
	resumes                              bool   // the last event claimed a deferred task, so task_resumed must follow

	// The following fields describe the outbox row of a Ready task, apart from pauses. Only a replay needs them.
	queue, priority string
	due, ready      number // when it may be claimed, and when it became Ready
}

// legal is the transition table by event and status. It is computed once, because a verification uses it for every
// event.
var legal = func() map[events.Type]map[tasks.Status]tasks.Transition {
	table := map[events.Type]map[tasks.Status]tasks.Transition{}
	for _, e := range events.Types() {
		table[e] = map[tasks.Status]tasks.Transition{}
		for _, from := range append(tasks.Statuses(), "") {
			if t, ok := tasks.FindTransition(e, from); ok {
				table[e][from] = t
			}
		}
	}
	return table
}()

func (f *taskFold) apply(e *event) *problem {
	d, p := decode(e.typ, e.data)
	if p != nil {
		return p
	}
	t, ok := legal[e.typ][f.status]
	if !ok {
		return &problem{
			I3, fmt.Sprintf("%s of a task that is %s", e.typ, orNothing(string(f.status))),
			"a transition of the table",
		}
	}
	if f.resumes != (e.typ == events.TaskResumed) {
		return f.wrongResume(e)
	}
	if p := f.guard(t, e, d); p != nil {
		return p
	}
	f.move(t, e, d)
	return nil
}

func (f *taskFold) wrongResume(e *event) *problem {
	if f.resumes {
		return &problem{I3, fmt.Sprintf("%s after the claim of a deferred task", e.typ), "task_resumed next"}
	}
	return &problem{
		I3, "task_resumed without the claim of a deferred task before it",
		"task_claimed of a task that is Ready/Deferred",
	}
}

// move sets and clears fields as docs/events.md describes for each event.
func (f *taskFold) move(t tasks.Transition, e *event, d *eventData) {
	f.resumes = t.Event == events.TaskClaimed && f.sub == tasks.Deferred
	f.status, f.sub = t.To, t.SubStatus
	f.completed = number{}
	if t.To == tasks.Ready {
		f.due, f.ready = e.at, e.at
	}
	if t.To.Terminal() {
		f.completed = e.at
	}
	switch t.Event {
	case events.TaskCreated:
		f.name, f.handler, f.rule, f.needs = *d.TaskName, *d.Handler, *d.TriggerRule, d.Dependencies
		f.allowed, f.maxAttempts, f.created = *d.MaxAttempts, *d.MaxAttempts, e.at
		f.queue, f.priority, f.forgiven = d.Queue, d.Priority, d.ContinueOnError
	case events.TaskMarkedReady:
		f.due = micros(d.AvailableAt)
	case events.TaskClaimed:
		f.attempt, f.worker, f.retryAt, f.started = *d.Attempt, e.worker, number{}, e.at
	case events.TaskDeferred:
		f.retryAt, f.worker, f.started = micros(d.ResumeAt), "", e.at // the row keeps when the deferral began
		f.due = f.retryAt
	case events.TaskCompleted:
		f.err, f.errKind = "", ""
	case events.TaskRetryScheduled:
		f.retryAt, f.err, f.errKind, f.worker = micros(d.RetryAt), *d.Error, *d.ErrorKind, ""
		f.due = f.retryAt
	case events.TaskFailed:
		f.err, f.errKind = *d.Error, *d.ErrorKind
	case events.TaskSkipped:
		f.skipReason = *d.Reason
		f.err, f.errKind = "", "" // of an attempt before the one that its command skipped
	case events.TaskReset:
		f.recoveries, f.worker, f.retryAt = *d.Recoveries, "", number{}
		if d.MaxAttempts != nil {
			f.maxAttempts = *d.MaxAttempts
		}
		if t.To == tasks.NotStarted {
			f.err, f.errKind, f.skipReason = "", "", ""
		}
	case events.TaskAbandoned:
		f.err, f.errKind, f.worker, f.retryAt = *d.Reason, "", "", number{}
		if d.ErrorKind != nil {
			f.errKind = *d.ErrorKind
		}
	case events.TaskCancelled:
		f.worker, f.retryAt = "", number{}
	}
}

func orNothing(status string) string {
	if status == "" {
		return "not created"
	}
	return status
}
