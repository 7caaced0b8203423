package workers

import (
	"context"
	"strings"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/tasks"
)

// maxLogged limits an error in the log, in bytes. The history stores the whole error.
const maxLogged = 500

// logFailure logs a failed attempt, if the configuration asks for it.
func (p *Pool) logFailure(o *pipelines.Outcome) {
	if !p.config.LogOutcomes || o.Kind != pipelines.OutcomeFailed {
		return
	}
	t := &o.Claim.Task
	fields := []zap.Field{
		zap.String("pipeline", o.Claim.Pipeline), zap.Stringer("pipeline_execution_id", t.PipelineExecutionID),
		zap.String("task", t.TaskName), zap.Stringer("task_execution_id", t.ID), zap.Int("attempt", t.Attempt),
		zap.Int("max_attempts", t.MaxAttempts),
		zap.String("error_kind", string(o.ErrorKind)), zap.String("error", loggedError(o.Error)),
		zap.Duration("duration", p.since(t.StartedAt.Time)),
		zap.Bool("retried", !o.RetryAt.IsZero()),
	}
	if !o.RetryAt.IsZero() {
		fields = append(fields, zap.Time("retry_at", o.RetryAt.UTC()))
	}
	p.log.Warn("a task's attempt failed", fields...)
}

// claimEndsLoop reports the ends of runs that were stored by processes without an observer, such as a command's
// process. It checks with each heartbeat, and when another process signals an end.
func (p *Pool) claimEndsLoop(ctx context.Context) {
	tick := time.NewTicker(p.config.Lease / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-p.runEndsStored:
		}
		if err := p.engine.ClaimEnds(ctx); err != nil && ctx.Err() == nil {
			p.sampledLog.Warn("failed to look up runs that other processes ended, retrying", zap.Error(err))
		}
	}
}

// runsEnded reports ended runs to the observer and to the log.
func (p *Pool) runsEnded(list []pipelines.Execution) {
	for i := range list {
		p.config.Observer.RunEnded(&list[i])
		if p.config.LogOutcomes {
			p.logEnd(&list[i])
		}
	}
}

// logEnd logs an ended run.
func (p *Pool) logEnd(x *pipelines.Execution) {
	level, message := zapcore.WarnLevel, "a run failed"
	switch x.Status {
	case pipelines.Completed:
		level, message = zapcore.InfoLevel, "a run completed"
	case pipelines.Cancelled:
		message = "a run was cancelled"
	}
	if entry := p.log.Check(level, message); entry != nil {
		fields := []zap.Field{
			zap.String("pipeline", x.PipelineName), zap.Stringer("pipeline_execution_id", x.ID),
			zap.Duration("duration", x.CompletedAt.Sub(x.CreatedAt.Time).Round(time.Millisecond)),
		}
		if x.Error != "" {
			fields = append(fields, zap.String("error", loggedError(string(x.Error))))
		}
		entry.Write(fields...)
	}
}

func (p *Pool) since(t time.Time) time.Duration { return p.db.Now().Sub(t).Round(time.Millisecond) }

// loggedError returns tasks.ErrorLine of s. If the line is longer than maxLogged bytes, its beginning is cut off.
func loggedError(s string) string {
	s = tasks.ErrorLine(s)
	if len(s) > maxLogged {
		s = "…" + strings.ToValidUTF8(s[len(s)-maxLogged:], "")
	}
	return s
}
