package workers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"go.uber.org/zap"

	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db"
)

// grace is how long a handler may go on after its context has ended before its attempt is recorded without it.
const grace = 10 * time.Second

// returned is what a handler gave back.
type returned struct {
	output json.RawMessage
	err    error
}

// run runs one attempt to its outcome, whatever the handler does.
func (p *Pool) run(ctx context.Context, worker string, c *pipelines.Claim) *pipelines.Outcome {
	var stdout, stderr tasks.LogBuffer
	out := &pipelines.Outcome{Claim: c}
	call, err := p.call(worker, c, &stdout, &stderr)
	if err != nil {
		return erred(out, tasks.KindExpression, err)
	}
	timed, cancel := context.WithTimeout(ctx, c.Definition.Timeout)
	defer cancel()
	began := p.db.Now()
	r := p.await(timed, call, c)
	p.config.Observer.Ran(c.Task.Handler, p.db.Now().Sub(began))
	out.Stdout, out.Stderr = stdout.String(), stderr.String()
	var again *tasks.DeferError
	var kinded *tasks.KindedError
	switch {
	case r.err == nil:
		return succeeded(out, r.output)
	case errors.As(r.err, &again):
		return deferred(out, again)
	case ctx.Err() != nil: // the worker ended it, not the handler
		out.Kind, out.Reason = pipelines.Released, context.Cause(ctx).Error()
		return out
	case timed.Err() != nil:
		return erred(out, tasks.KindTimeout, fmt.Errorf("timed out after %s: %w", c.Definition.Timeout, r.err))
	case errors.As(r.err, &kinded):
		out.Final = kinded.Final
		return erred(out, kinded.Kind, r.err)
	}
	return erred(out, tasks.KindError, r.err)
}

// call resolves the task's expressions.
func (p *Pool) call(worker string, c *pipelines.Claim, stdout, stderr *tasks.LogBuffer) (*tasks.Call, error) {
	resolved, err := c.Definition.Resolve(definition.Values{Input: c.Input, Needs: c.Needs})
	if err != nil {
		return nil, err
	}
	return &tasks.Call{
		PipelineExecutionID: c.Task.PipelineExecutionID, TaskExecutionID: c.Task.ID, PipelineName: c.Pipeline, TaskName: c.Task.TaskName,
		Attempt: c.Task.Attempt, Resumed: c.Resumed, Worker: worker, With: resolved.With, Env: resolved.Env, Input: c.Input, Needs: c.Needs,
		Stdout: stdout, Stderr: stderr, Annotate: p.annotate(worker, c), Now: p.db.Now, Begun: p.begun(c),
	}, nil
}

func (p *Pool) annotate(worker string, c *pipelines.Claim) func(context.Context, any) error {
	return func(ctx context.Context, data any) error {
		doc, err := json.Marshal(data)
		if err != nil {
			return fmt.Errorf("annotation: %w", err)
		}
		return p.engine.Annotate(ctx, pipelines.Annotation{
			PipelineExecutionID: c.Task.PipelineExecutionID, TaskExecutionID: c.Task.ID, Data: doc, Worker: worker,
		})
	}
}

// await runs the handler and waits for it; for one that ignores the end of its context, only for a while.
func (p *Pool) await(ctx context.Context, call *tasks.Call, c *pipelines.Claim) returned {
	handler, ok := p.handlers.Handler(c.Task.Handler)
	if !ok {
		return returned{err: fmt.Errorf("no handler %q in this process", c.Task.Handler)}
	}
	done := make(chan returned, 1)
	go func() {
		r := returned{err: tasks.WithKind(tasks.KindPanic, errors.New("the handler ended its goroutine"))}
		defer func() { done <- r }() // deferred, for runtime.Goexit passes everything else by
		r = guarded(ctx, handler, call)
	}()
	select {
	case r := <-done:
		return r
	case <-ctx.Done():
	}
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case r := <-done:
		if r.err == nil && errors.Is(context.Cause(ctx), errClaimLost) {
			r.err = errClaimLost
		}
		return r
	case <-timer.C:
		p.log.Error("a handler ignores the end of its context; its attempt is recorded without it",
			zap.String("task", c.Task.TaskName), zap.Stringer("task_execution_id", c.Task.ID))
		return returned{err: fmt.Errorf("the handler did not stop when its context ended: %w", context.Cause(ctx))}
	}
}

// guarded turns a panic into an error with its stack.
func guarded(ctx context.Context, h tasks.Handler, call *tasks.Call) (r returned) {
	defer func() {
		if v := recover(); v != nil {
			r = returned{err: tasks.WithKind(tasks.KindPanic, fmt.Errorf("panic: %v\n%s", v, debug.Stack()))}
		}
	}()
	out, err := h.Run(ctx, call)
	if err != nil {
		readable(err)
	}
	return returned{output: out, err: err}
}

// readable asks an error all that is asked of it later, here where a panic in its methods is the handler's.
func readable(err error) {
	var again *tasks.DeferError
	var kinded *tasks.KindedError
	_, _, _ = errors.As(err, &again), errors.As(err, &kinded), err.Error()
}

// deferred checks that the databases and the history can keep the time.
func deferred(out *pipelines.Outcome, d *tasks.DeferError) *pipelines.Outcome {
	if year := d.Until.UTC().Year(); year > 9999 {
		return erred(out, tasks.KindError, fmt.Errorf("deferred until the year %d: 9999 is the last that can be kept", year))
	}
	out.Kind, out.Until, out.Reason = pipelines.Deferred, db.At(d.Until), tasks.CleanText(d.Reason, tasks.MaxError)
	return out
}

// succeeded checks that an output can be kept on either database.
func succeeded(out *pipelines.Outcome, output json.RawMessage) *pipelines.Outcome {
	if len(output) > 0 {
		if err := definition.CheckJSON(output, tasks.MaxOutput); err != nil {
			return erred(out, tasks.KindInvalidOutput, fmt.Errorf("output: %w", err))
		}
	}
	out.Kind, out.Output = pipelines.Succeeded, db.JSON(output)
	return out
}

func erred(out *pipelines.Outcome, kind tasks.ErrorKind, err error) *pipelines.Outcome {
	out.Kind, out.ErrorKind, out.Error = pipelines.Erred, kind, tasks.CleanText(err.Error(), tasks.MaxError)
	if out.Error == "" {
		out.Error = "the handler returned an error without a text"
	}
	return out
}
