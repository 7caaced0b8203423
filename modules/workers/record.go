package workers

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db"
)

// retryLimit limits the concurrent transactions that retry outcomes.
const retryLimit = 4

// The wait between two tries to record the same outcomes starts at firstRetry and doubles up to lastRetry.
const (
	firstRetry = 50 * time.Millisecond
	lastRetry  = 5 * time.Second
)

// release frees the slots and the capacity of outcomes that are no longer retried.
func (p *Pool) release(group []*pipelines.Outcome) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, o := range group {
		delete(p.running, o.Claim)
	}
	p.waiting -= len(group)
	p.scheduler.Release(endedByHandler(group))
}

// retryLater retries outcomes that an exchange could not record. It does so in a separate goroutine, so that no other
// outcome is delayed. The outcomes keep their slots until they are recorded. Only ErrDataRejected is caused by an
// outcome's data. All other errors are caused by the state of the database and are retried.
func (p *Pool) retryLater(ctx context.Context, group []*pipelines.Outcome) {
	p.mu.Lock()
	p.waiting += len(group)
	p.mu.Unlock()
	p.retrying.Go(func() { p.retry(ctx, group) })
}

// retry tries until the outcomes are recorded or ctx ends. If the database is available but a group fails, retry splits
// the group in half, so that an outcome that cannot be recorded does not delay the others.
func (p *Pool) retry(ctx context.Context, group []*pipelines.Outcome) {
	began := p.db.Now()
	for attempt := 0; ; {
		result, err := p.tryRecord(ctx, group)
		switch {
		case err == nil:
			p.release(group)
			p.config.Observer.Recorded(len(group), p.db.Now().Sub(began))
			p.report(group, result)
			return
		case ctx.Err() != nil:
			p.release(group)
			p.unrecorded.Store(true)
			p.log.Error("outcomes could not be recorded", zap.Int("tasks", len(group)), zap.Error(err))
			return
		case len(group) > 1 && !db.Away(err):
			first := group[:len(group)/2]
			group = group[len(first):]
			p.retrying.Go(func() { p.retry(ctx, first) })
			continue
		case errors.Is(err, db.ErrDataRejected):
			replaceRejected(group[0], err)
			continue
		}
		p.sampledLog.Warn("recording outcomes failed, trying again", zap.Int("waiting", p.State().Waiting),
			zap.Error(err))
		sleep(ctx, min(firstRetry<<min(attempt, 10), lastRetry))
		attempt++
	}
}

func (p *Pool) tryRecord(ctx context.Context, group []*pipelines.Outcome) (engine.ExchangeResult, error) {
	select {
	case p.retries <- struct{}{}:
		defer func() { <-p.retries }()
	case <-ctx.Done():
		return engine.ExchangeResult{}, context.Cause(ctx)
	}
	return p.engine.CompleteAndClaim(ctx, engine.ExchangeRequest{Worker: p.workerID(), Outcomes: group})
}

// replaceRejected replaces an outcome that the database rejects by a failure that has the error as its text.
func replaceRejected(o *pipelines.Outcome, err error) {
	o.Kind, o.Output, o.Logs = pipelines.OutcomeFailed, nil, tasks.Written{}
	o.ErrorKind = tasks.KindInvalidOutput
	o.Error = tasks.SanitizeText(fmt.Sprintf("the outcome could not be recorded: %v", err), tasks.MaxError)
}

// report reports a committed group to the observer and the log, and handles the outcomes that were refused.
func (p *Pool) report(group []*pipelines.Outcome, result engine.ExchangeResult) {
	for i, err := range result.Conflicts {
		if err == nil {
			p.config.Observer.Finished(group[i].Kind)
			p.logFailure(group[i])
		} else {
			p.config.Observer.Lost()
			p.markInDoubt()
			p.logs.addRefused(group[i].Logs)
			t, level := &group[i].Claim.Task, zapcore.WarnLevel
			if withdrawn(group[i]) {
				level = zapcore.DebugLevel
			}
			p.log.Log(level, "result refused: claim lost",
				zap.String("task", t.TaskName), zap.Stringer("task_execution_id", t.ID), zap.Error(err))
		}
	}
}

// withdrawn reports whether an outcome is of a handler that this worker stopped because the task was cancelled or
// abandoned. The database refuses such an outcome, which is expected.
func withdrawn(o *pipelines.Outcome) bool {
	return o.Kind == pipelines.OutcomeReleased && o.Reason == errTaskEnded.Error()
}
