package audit

import (
	"cmp"
	"fmt"
	"math"
	"strings"

	"github.com/sluiceworks/sluice/modules/tasks"
)

// comparison collects the columns in which a row differs from the fold of its events.
type comparison struct {
	row, fold []string
}

func (c *comparison) text(column, row, fold string) {
	if row != fold {
		c.row, c.fold = append(c.row, column+" "+orNull(row)), append(c.fold, column+" "+orNull(fold))
	}
}

func (c *comparison) number(column string, row number, fold int64) {
	if !row.bad && row != some(fold) {
		c.row, c.fold = append(c.row, column+" "+row.String()), append(c.fold, column+" "+some(fold).String())
	}
}

func (c *comparison) instant(column string, row, fold number) {
	if !row.bad && !fold.bad && row != fold {
		c.row, c.fold = append(c.row, column+" "+row.instant()), append(c.fold, column+" "+fold.instant())
	}
}

// problem returns nil if nothing differs.
func (c *comparison) problem() *problem {
	if c.row == nil {
		return nil
	}
	return &problem{I2, "the row has " + strings.Join(c.row, ", "), "what its events make of it: " +
		strings.Join(c.fold, ", ")}
}

func orNull(s string) string {
	if s == "" {
		return "null"
	}
	return short(s)
}

// compare checks I2 of a task.
func (t *task) compare() *problem {
	var c comparison
	f := &t.fold
	c.text("status", string(t.status), string(f.status))
	c.text("sub_status", string(t.sub), string(f.sub))
	c.text("task_name", t.name, f.name)
	c.text("handler", t.handler, f.handler)
	c.text("queue", t.queue, cmp.Or(f.queue, tasks.DefaultQueue))
	c.number("priority", t.priority, int64(cmp.Or(tasks.Priority(f.priority), tasks.Normal).Level()))
	c.number("attempt", t.attempt, f.attempt)
	c.number("max_attempts", t.maxAttempts, f.maxAttempts)
	c.number("recoveries", t.recoveries, f.recoveries)
	c.text("worker_id", t.worker, f.worker)
	c.text("error", t.err, f.err)
	c.text("error_kind", t.errKind, f.errKind)
	c.text("skip_reason", t.skipReason, f.skipReason)
	c.instant("retry_at", t.retryAt, f.retryAt)
	c.instant("created_at", t.created, f.created)
	c.instant("started_at", t.started, f.started)
	c.instant("completed_at", t.completed, f.completed)
	return c.problem()
}

// checkTask reports the breaches of a task's row and its history.
func (p *page) checkTask(x *pipeline, t *task) {
	now := func(invariant, found, expected string) {
		p.report(x, t, breachAt{problem: problem{invariant, found, expected}, events: t.history.refs()})
	}
	if t.bad != nil {
		now(Data, strings.Join(t.bad, "; "), "readable columns")
	}
	if !x.retained() {
		p.checkTaskHistory(x, t, now)
	}
}

// checkPosition reports where a task does not fit its pipeline, the outbox or its dependencies. needs is nil if the
// dependencies are not known.
func (p *page) checkPosition(x *pipeline, t *task, needs *needs) {
	now := func(invariant, found, expected string) {
		p.report(x, t, breachAt{problem: problem{invariant, found, expected}, events: t.history.refs()})
	}
	x.checkQueued(t, now)
	if needs != nil {
		x.checkNeeds(t, needs, now)
	}
}

// checkTaskHistory checks I1, I2, I3 and I5 of a task.
func (p *page) checkTaskHistory(x *pipeline, t *task, now func(invariant, found, expected string)) {
	same := t.history.finish(t.version)
	for _, b := range t.history.found {
		p.report(x, t, b)
	}
	if !same {
		return
	}
	if c := t.compare(); c != nil {
		now(c.invariant, c.found, c.expected)
	}
	if t.fold.resumes {
		now(I3, "the claim of a deferred task without task_resumed after it", "both in one transaction")
	}
}

// checkNeeds checks that a task's status and counter follow from its dependencies.
func (x *pipeline) checkNeeds(t *task, needs *needs, now func(invariant, found, expected string)) {
	if !t.remaining.bad && t.remaining != some(int64(needs.open)) {
		now(I7, "remaining_dependencies "+
			t.remaining.String(), fmt.Sprintf("%d: so many of its dependencies are not terminal", needs.open))
	}
	found, expected := unguarded(t, needs)
	if found != "" {
		now(I3, found, expected)
	}
	if t.status == tasks.NotStarted && x.status.open() && ruleSays(t.fold.rule, needs) != waits {
		found := "all its dependencies are terminal"
		if needs.open > 0 {
			found = "its trigger rule " + t.fold.rule + " holds"
		}
		now(I6, "NotStarted, though "+found+": nothing will start it", "Ready or Skipped")
	}
}

// unguarded says why a task should not have become ready, or should not have been skipped. An operator's retry
// reopens everything that follows from what it reopens, so the dependencies have the statuses that they had then, or
// have ended since.
func unguarded(t *task, needs *needs) (found, expected string) {
	waiting := t.status == tasks.Ready || t.status == tasks.Running
	ended := t.status == tasks.Completed || t.status == tasks.Failed || t.status == tasks.Skipped
	if !waiting && !ended {
		return "", ""
	}
	says := ruleSays(t.fold.rule, needs)
	if t.status == tasks.Skipped {
		return unguardedSkip(t, says)
	}
	const guard = "the guard of mark ready: the trigger rule true, all dependencies terminal unless one decides it"
	switch says {
	case runs:
		return "", ""
	case waits:
		return fmt.Sprintf("%s, with %d dependencies that are not terminal", t.status, needs.open), guard
	}
	return fmt.Sprintf("%s, though its trigger rule %s is false", t.status, t.fold.rule), guard
}

// unguardedSkip checks a skip whose reason is the trigger rule.
func unguardedSkip(t *task, says string) (found, expected string) {
	if t.skipReason != byFailure && t.skipReason != byRule || says == t.skipReason {
		return "", ""
	}
	return fmt.Sprintf("Skipped because of %s, and its trigger rule %s says: %s", t.skipReason, t.fold.rule, says),
		"a skip that the rule asks for"
}

// checkQueued checks I4 of a task.
func (x *pipeline) checkQueued(t *task, now func(invariant, found, expected string)) {
	want := t.status == tasks.Ready && x.status == running
	state := fmt.Sprintf("%s in a pipeline that is %s", orNull(string(t.status)), orNull(string(x.status)))
	switch {
	case want && len(t.queued) == 0:
		now(I4, "no outbox row, "+state, "one outbox row")
	case !want && len(t.queued) > 0:
		now(I4, fmt.Sprintf("outbox row %s, %s", t.queued[0].id, state), "no outbox row")
	case len(t.queued) > 1:
		now(I4, fmt.Sprintf("%d outbox rows", len(t.queued)), "one outbox row")
	case want && t.queued[0].handler != t.handler:
		now(I4, "an outbox row for the handler "+orNull(t.queued[0].handler), "for "+orNull(t.handler)+
			", or no worker claims it")
	case want && t.queued[0].queue != x.queueOf(t):
		now(I4, "an outbox row for the queue "+orNull(t.queued[0].queue), "for "+orNull(x.queueOf(t))+
			", or workers of that queue never claim it")
	case want && t.retryAt.set && t.queued[0].available.v < t.retryAt.v:
		now(I4, "an outbox row available at "+t.queued[0].available.instant(), "not before retry_at "+
			t.retryAt.instant())
	case want && t.queued[0].available.v > x.latestDue(t):
		now(I4, "an outbox row available at "+t.queued[0].available.instant(), "not after "+instantText(x.latestDue(t)))
	}
}

// queueOf returns the queue of a task's outbox row: the task's own, or the private queue of the worker that the
// pipeline is reserved for.
func (x *pipeline) queueOf(t *task) string {
	if x.reservedFor != "" {
		return "@" + x.reservedFor
	}
	return t.queue
}

// latestDue returns the latest time, in microseconds since 1970, at which a Ready task may be due: its retry_at, or
// the time of the latest event of the task or of its pipeline.
func (x *pipeline) latestDue(t *task) int64 {
	if x.history.incomplete || t.history.incomplete {
		return math.MaxInt64
	}
	return max(t.retryAt.v, t.fold.retryAt.v, t.history.newest, x.history.newest)
}
