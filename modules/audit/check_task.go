package audit

import (
	"fmt"
	"math"
	"strings"

	"github.com/sluiceworks/sluice/modules/tasks"
)

// comparison collects the columns in which a row is not what its events make of it.
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

// problem is nil when nothing differs.
func (c *comparison) problem() *problem {
	if c.row == nil {
		return nil
	}
	return &problem{I2, "the row has " + strings.Join(c.row, ", "), "what its events make of it: " + strings.Join(c.fold, ", ")}
}

func orNull(s string) string {
	if s == "" {
		return "null"
	}
	return short(s)
}

// compare is I2 of a task.
func (t *task) compare() *problem {
	var c comparison
	f := &t.fold
	c.text("status", string(t.status), string(f.status))
	c.text("sub_status", string(t.sub), string(f.sub))
	c.text("task_name", t.name, f.name)
	c.text("handler", t.handler, f.handler)
	c.number("attempt", t.attempt, f.attempt)
	c.number("max_attempts", t.maxAttempts, f.maxAttempts)
	c.number("recoveries", t.recoveries, f.recoveries)
	c.text("worker_id", t.worker, f.worker)
	c.text("error", t.err, f.err)
	c.instant("retry_at", t.retryAt, f.retryAt)
	c.instant("created_at", t.created, f.created)
	c.instant("started_at", t.started, f.started)
	c.instant("completed_at", t.completed, f.completed)
	return c.problem()
}

// checkTask reports what is wrong with one task by itself: its row and its history.
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

// checkPlace reports where a task does not fit with its pipeline, the outbox or its dependencies. openNeeds is how many of these
// are not terminal, -1 if that is not known; ends is how all of them stand.
func (p *page) checkPlace(x *pipeline, t *task, openNeeds int, ends []tasks.Status) {
	now := func(invariant, found, expected string) {
		p.report(x, t, breachAt{problem: problem{invariant, found, expected}, events: t.history.refs()})
	}
	x.checkQueued(t, now)
	if openNeeds >= 0 {
		x.checkNeeds(t, openNeeds, ends, now)
	}
}

// checkTaskHistory is I1, I2, I3 and I5 of a task.
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

// checkNeeds sees that a task stands where its dependencies put it.
func (x *pipeline) checkNeeds(t *task, openNeeds int, ends []tasks.Status, now func(invariant, found, expected string)) {
	if !t.remaining.bad && t.remaining != some(int64(openNeeds)) {
		now(I7, "remaining_dependencies "+t.remaining.String(), fmt.Sprintf("%d: so many of its dependencies are not terminal", openNeeds))
	}
	if found := x.unguarded(t, openNeeds, ends); found != "" {
		now(I3, found, "the guard of mark ready: all dependencies terminal, the trigger rule true")
	}
	if openNeeds == 0 && t.status == tasks.NotStarted && x.status.open() {
		now(I6, "NotStarted, though all its dependencies are terminal: nothing will start it", "Ready or Skipped")
	}
}

// unguarded says why a task should never have become ready. What a retry by an operator has reopened since can't be judged.
func (x *pipeline) unguarded(t *task, openNeeds int, ends []tasks.Status) string {
	waiting := t.status == tasks.Ready || t.status == tasks.Running
	ran := t.status == tasks.Completed || t.status == tasks.Failed
	if !waiting && (!ran || x.fold.restarted) {
		return ""
	}
	switch {
	case openNeeds > 0:
		return fmt.Sprintf("%s, with %d dependencies that are not terminal", t.status, openNeeds)
	case !ruleHolds(t.fold.rule, ends):
		return fmt.Sprintf("%s, though its trigger rule %s is false", t.status, t.fold.rule)
	}
	return ""
}

// checkQueued is I4 of a task.
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
		now(I4, "an outbox row for the handler "+orNull(t.queued[0].handler), "for "+orNull(t.handler)+", or no worker claims it")
	case want && t.retryAt.set && t.queued[0].available.v < t.retryAt.v:
		now(I4, "an outbox row available at "+t.queued[0].available.instant(), "not before retry_at "+t.retryAt.instant())
	case want && t.queued[0].available.v > x.latestDue(t):
		now(I4, "an outbox row available at "+t.queued[0].available.instant(), "not after "+instantText(x.latestDue(t)))
	}
}

// latestDue is when a Ready task is due at the latest: at its retry_at, or at once when it, or its pipeline, became what it is.
func (x *pipeline) latestDue(t *task) int64 {
	if x.history.incomplete || t.history.incomplete {
		return math.MaxInt64
	}
	return max(t.retryAt.v, t.fold.retryAt.v, t.history.newest, x.history.newest)
}
