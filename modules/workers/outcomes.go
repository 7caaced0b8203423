package workers

import (
	"strings"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/sluiceworks/sluice/modules/pipelines"
)

// mostLogged bounds an error in the log, in bytes: the history has all of it.
const mostLogged = 500

// logFailure logs an attempt that failed.
func (p *Pool) logFailure(o *pipelines.Outcome) {
	if !p.config.LogOutcomes || o.Kind != pipelines.Erred {
		return
	}
	t := &o.Claim.Task
	p.log.Warn("a task's attempt failed", zap.String("pipeline", o.Claim.Pipeline), zap.Stringer("execution", t.PipelineExecutionID),
		zap.String("task", t.TaskName), zap.Int("attempt", t.Attempt), zap.Int("max_attempts", t.MaxAttempts),
		zap.String("error_kind", string(o.ErrorKind)), zap.String("error", lastLine(o.Error)), zap.Duration("duration", p.since(t.StartedAt.Time)))
}

// logEnd logs an execution that has ended.
func (p *Pool) logEnd(x *pipelines.Execution) {
	level, message := zapcore.WarnLevel, "a run failed"
	switch x.Status {
	case pipelines.Completed:
		level, message = zapcore.InfoLevel, "a run completed"
	case pipelines.Cancelled:
		message = "a run was cancelled"
	}
	if entry := p.log.Check(level, message); entry != nil {
		fields := []zap.Field{zap.String("pipeline", x.PipelineName), zap.Stringer("execution", x.ID), zap.Duration("duration", p.since(x.CreatedAt.Time))}
		if x.Error != "" {
			fields = append(fields, zap.String("error", lastLine(string(x.Error))))
		}
		entry.Write(fields...)
	}
}

func (p *Pool) since(t time.Time) time.Duration { return p.db.Now().Sub(t).Round(time.Millisecond) }

// lastLine is the last line of a text that is not blank: of most programs it says what went wrong.
func lastLine(s string) string {
	s = strings.TrimRight(s, " \t\r\n")
	s = strings.TrimSpace(s[strings.LastIndexByte(s, '\n')+1:])
	if len(s) > mostLogged {
		s = "…" + strings.ToValidUTF8(s[len(s)-mostLogged:], "")
	}
	return s
}
