package pipelines

import (
	"fmt"
	"time"

	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// OutcomeKind is the kind of result of an attempt.
type OutcomeKind int

// The kinds of outcomes. A released task was returned unfinished by a worker that stops.
const (
	OutcomeSucceeded OutcomeKind = iota
	OutcomeFailed
	OutcomeDeferred
	OutcomeReleased
	OutcomeSkipped // the handler returned a tasks.SkipError
)

// Outcome is the result of one claimed task.
type Outcome struct {
	Claim        *Claim
	Kind         OutcomeKind
	Output       dbtype.JSON     // of OutcomeSucceeded: valid JSON or nil
	ErrorKind    tasks.ErrorKind // of OutcomeFailed
	Error        string          // of OutcomeFailed: sanitized text
	Exit         *int            // exit code of the attempt's command; nil if it ran none to its end
	NonRetryable bool            // of OutcomeFailed: no further attempt, regardless of the policy
	RetryAfter   time.Duration   // of OutcomeFailed: minimum delay before the next attempt
	Jitter       float64         // of OutcomeFailed: a random number in [0, 1), for the delay of the next attempt
	Until        dbtype.Time     // of OutcomeDeferred
	Reason       string          // of OutcomeDeferred and OutcomeReleased
	Logs         tasks.Written   // output that has not been stored yet
	RetryAt      dbtype.Time     // of OutcomeFailed, set when it is recorded: when the next attempt is due; null: none
}

// RecordOutcomes adds outcomes to the plan. It returns those with a lost claim, which change nothing.
func (p *Plan) RecordOutcomes(worker string, outcomes []*Outcome) (lost []*Outcome) {
	p.Worker = worker
	for _, o := range outcomes {
		n, ok := p.nodes[o.Claim.Task.TaskName]
		if !ok || !n.task.UnderClaim(&o.Claim.Task) {
			lost = append(lost, o)
			continue
		}
		p.record(n, p.changeFor(n.task, o))
	}
	return lost
}

// changeFor returns the change that an outcome causes.
func (p *Plan) changeFor(t tasks.Task, o *Outcome) *tasks.Change {
	switch o.Kind {
	case OutcomeSucceeded:
		return t.Complete(o.Output, o.Exit, p.now)
	case OutcomeDeferred:
		until := o.Until
		if until.Before(p.now.Time) {
			until = p.now // a time in the past must not move the task ahead in the queue
		}
		return t.Defer(until, o.Reason, p.now)
	case OutcomeReleased:
		return t.Release(o.Reason, p.now)
	case OutcomeSkipped:
		return t.SkipRunning(*o.Exit, string(o.Claim.Definition.TriggerRule), p.now)
	}
	policy := o.Claim.Definition.Retry
	o.RetryAt = dbtype.Time{}
	if !o.NonRetryable && t.AttemptsLeft() && policy.Retryable(o.ErrorKind) {
		delay := max(policy.DelayAfter(t.Attempt-t.Recoveries, o.Jitter), min(o.RetryAfter, tasks.LongestDelay))
		m := t.ScheduleRetry(o.ErrorKind, o.Error, o.Exit, delay, p.now)
		o.RetryAt = m.Task.RetryAt
		return m
	}
	return t.Fail(o.ErrorKind, o.Error, o.Exit, p.now)
}

// MaxRecoveries is how often a task is recovered from lost workers before it is abandoned.
const MaxRecoveries = 3

// RecoverTasks adds to the plan that the tasks of lost workers are recovered, and returns their number. It abandons a
// task after MaxRecoveries, because the task itself may crash its workers. The plan must have the full graph.
func (p *Plan) RecoverTasks(lost map[string]bool) (recovered int) {
	for i := range p.Definition.Tasks {
		n, ok := p.nodes[p.Definition.Tasks[i].ID]
		if !ok || n.task.Status != tasks.Running || !lost[string(n.task.WorkerID)] {
			continue
		}
		if n.task.Recoveries >= MaxRecoveries {
			reason := fmt.Sprintf("lost with its worker %d times", n.task.Recoveries+1)
			p.record(n, tasks.NewChange(n.task).Abandon(reason, p.now))
		} else {
			p.record(n, n.task.Recover(p.now))
		}
		recovered++
	}
	return recovered
}
