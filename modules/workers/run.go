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
	"github.com/sluiceworks/sluice/modules/pipelines/engine"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/dbtype"
	"github.com/sluiceworks/sluice/platform/jsonvalue"
)

// abandonAfter is how long a handler may run after its context has ended. After that, its attempt is recorded without
// its result.
const abandonAfter = 10 * time.Second

// handlerResult is the result of a handler.
type handlerResult struct {
	output json.RawMessage
	err    error
	exit   *int // exit code of the command that it ran; nil: none
}

// run runs one attempt and always returns its outcome, even if the handler panics or does not return.
func (p *Pool) run(ctx context.Context, worker string, c *pipelines.Claim) *pipelines.Outcome {
	written := tasks.NewOutput(c.Task, c.Resumed, p.logs.add)
	out := &pipelines.Outcome{Claim: c}
	timed, cancel := context.WithTimeout(ctx, c.Definition.Timeout)
	defer cancel()
	call, err := p.call(timed, worker, c)
	if err != nil {
		return unresolved(ctx, out, err)
	}
	var ended func()
	call.Stdout, call.Stderr, ended = p.writers(c, written)
	defer ended()
	call.SetDefaults() // MakeRunDir, in a process without directories of runs
	began := p.db.Now()
	r := p.await(timed, call, c)
	p.config.Observer.Ran(c.Task.Handler, p.db.Now().Sub(began))
	out.Logs = written.Close()
	var again *tasks.DeferError
	var kinded *tasks.HandlerError
	var skip *tasks.SkipError
	out.Exit = r.exit
	var later *tasks.RetryAfterError
	if errors.As(r.err, &later) {
		out.RetryAfter = later.Wait
	}
	var unstarted *tasks.CannotStartError
	if ctx.Err() == nil && errors.As(r.err, &unstarted) {
		return p.notStarted(out, began, r.err)
	}
	p.taskStarted(began)
	switch {
	case r.err == nil:
		return succeededOutcome(out, r.output)
	case errors.As(r.err, &again):
		return deferredOutcome(out, again)
	case errors.As(r.err, &skip):
		out.Kind, out.Exit = pipelines.OutcomeSkipped, &skip.Exit
		return out
	case ctx.Err() != nil: // the worker cancelled it, so the error is not the handler's
		out.Kind, out.Reason = pipelines.OutcomeReleased, context.Cause(ctx).Error()
		return out
	case timed.Err() != nil:
		return failedOutcome(out, tasks.KindTimeout, fmt.Errorf("timed out after %s: %w", c.Definition.Timeout, r.err))
	case errors.As(r.err, &kinded):
		out.NonRetryable, out.Exit = kinded.NonRetryable, kinded.Exit
		return failedOutcome(out, kinded.Kind, r.err)
	}
	return failedOutcome(out, tasks.KindError, r.err)
}

// unresolved returns the outcome of an attempt whose expressions could not be evaluated.
func unresolved(ctx context.Context, out *pipelines.Outcome, err error) *pipelines.Outcome {
	switch {
	case ctx.Err() != nil: // the worker cancelled it
		out.Kind, out.Reason = pipelines.OutcomeReleased, context.Cause(ctx).Error()
		return out
	case errors.Is(err, context.DeadlineExceeded):
		return failedOutcome(out, tasks.KindTimeout,
			fmt.Errorf("timed out after %s: %w", out.Claim.Definition.Timeout, err))
	}
	out.NonRetryable = out.Claim.Excess != nil // another attempt would read the same outputs
	return failedOutcome(out, tasks.KindExpression, err)
}

// call evaluates the task's expressions and returns the attempt for the handler.
func (p *Pool) call(ctx context.Context, worker string, c *pipelines.Claim) (*tasks.Attempt, error) {
	if c.Excess != nil {
		return nil, c.Excess
	}
	resolved, err := c.Definition.Resolve(ctx, c.Values())
	if err != nil {
		return nil, err
	}
	call := &tasks.Attempt{
		PipelineExecutionID: c.Task.PipelineExecutionID, TaskExecutionID: c.Task.ID, PipelineName: c.Pipeline,
		TaskName: c.Task.TaskName,
		Number:   c.Task.Attempt, Resumed: c.Resumed, Worker: worker, With: resolved.With, Env: resolved.Env,
		Input: c.Input, Needs: c.Needs,
		Annotate: p.annotate(worker, c), Now: p.db.Now, FirstStarted: p.firstStarted(c),
	}
	if p.runDirs != nil {
		call.RunDir = p.runDirs.Path(c.Task.PipelineExecutionID)
		call.MakeRunDir = func() error { return p.runDirs.Make(c.Task.PipelineExecutionID) }
	}
	return call, nil
}

func (p *Pool) annotate(worker string, c *pipelines.Claim) func(context.Context, any) error {
	return func(ctx context.Context, data any) error {
		doc, err := json.Marshal(data)
		if err != nil {
			return fmt.Errorf("annotation: %w", err)
		}
		return p.engine.Annotate(ctx, engine.Annotation{
			PipelineExecutionID: c.Task.PipelineExecutionID, TaskExecutionID: c.Task.ID, Data: doc, Worker: worker,
		})
	}
}

// await runs the handler and waits for its result. If the context ends, it waits for at most abandonAfter.
func (p *Pool) await(ctx context.Context, call *tasks.Attempt, c *pipelines.Claim) handlerResult {
	handler, ok := p.handlers.Handler(c.Task.Handler)
	if !ok {
		return handlerResult{err: fmt.Errorf("no handler %q in this process", c.Task.Handler)}
	}
	done := make(chan handlerResult, 1)
	go func() {
		r := handlerResult{err: tasks.WithKind(tasks.KindPanic, errors.New("the handler called runtime.Goexit"))}
		defer func() { done <- r }() // deferred, because runtime.Goexit runs only deferred functions
		r = callHandler(ctx, handler, call)
	}()
	select {
	case r := <-done:
		return r
	case <-ctx.Done():
	}
	timer := time.NewTimer(abandonAfter)
	defer timer.Stop()
	select {
	case r := <-done:
		if r.err == nil && errors.Is(context.Cause(ctx), errClaimLost) {
			r.err = context.Cause(ctx)
		}
		return r
	case <-timer.C:
		p.log.Error("handler did not return after its context ended: its attempt is recorded without a result",
			zap.String("task", c.Task.TaskName), zap.Stringer("task_execution_id", c.Task.ID))
		return handlerResult{err: fmt.Errorf("the handler did not stop when its context ended: %w", context.Cause(ctx))}
	}
}

// callHandler calls the handler and turns a panic into an error with its stack.
func callHandler(ctx context.Context, h tasks.Handler, call *tasks.Attempt) (r handlerResult) {
	defer func() {
		if v := recover(); v != nil {
			r = handlerResult{err: tasks.WithKind(tasks.KindPanic, fmt.Errorf("panic: %v\n%s", v, debug.Stack()))}
		}
	}()
	out, err := h.Run(ctx, call)
	if err != nil {
		sanitizeError(err)
	}
	return handlerResult{output: out, err: err, exit: call.Exit}
}

// sanitizeError calls the methods of an error that are needed later, so that a panic in them counts as the handler's.
func sanitizeError(err error) {
	var again *tasks.DeferError
	var kinded *tasks.HandlerError
	var later *tasks.RetryAfterError
	_, _, _, _ = errors.As(err, &again), errors.As(err, &kinded), errors.As(err, &later), err.Error()
}

// deferredOutcome returns a deferral, or a failure if the databases and the history cannot store the time.
func deferredOutcome(out *pipelines.Outcome, d *tasks.DeferError) *pipelines.Outcome {
	if year := d.Until.UTC().Year(); year > 9999 {
		return failedOutcome(out, tasks.KindError,
			fmt.Errorf("deferred until the year %d: 9999 is the last that can be kept", year))
	}
	out.Kind, out.Until, out.Reason = pipelines.OutcomeDeferred, dbtype.NewTime(d.Until),
		tasks.SanitizeText(d.Reason, tasks.MaxError)
	return out
}

// succeededOutcome returns a success, or a failure if the databases cannot store the output.
func succeededOutcome(out *pipelines.Outcome, output json.RawMessage) *pipelines.Outcome {
	if len(output) > 0 {
		if err := jsonvalue.Check(output, tasks.MaxOutput); err != nil {
			return failedOutcome(out, tasks.KindInvalidOutput, fmt.Errorf("output: %w", err))
		}
	}
	out.Kind, out.Output = pipelines.OutcomeSucceeded, dbtype.JSON(output)
	return out
}

func failedOutcome(out *pipelines.Outcome, kind tasks.ErrorKind, err error) *pipelines.Outcome {
	out.Kind, out.ErrorKind, out.Error = pipelines.OutcomeFailed, kind, tasks.SanitizeText(err.Error(), tasks.MaxError)
	if out.Error == "" {
		out.Error = "the handler returned an error without a text"
	}
	return out
}
