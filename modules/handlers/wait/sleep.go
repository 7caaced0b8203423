// Package wait implements the handlers "sleep", which waits for an instant, and "wait", which waits for a file or an
// HTTP response. Neither holds a slot while it waits: it defers its task, which is durable, and is called again when
// the time of the deferral has come.
package wait

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/sluiceworks/sluice/modules/tasks"
)

// Sleep ends its task after a duration or at an instant. Create it with NewSleep.
type Sleep struct{ typed tasks.Handler }

// NewSleep returns a Sleep.
func NewSleep() *Sleep {
	s := &Sleep{}
	s.typed = tasks.NewHandler(s.Name(), s.run)
	return s
}

// sleepWith is the task's `with`. Exactly one field must be set.
type sleepWith struct {
	Duration *span    `json:"duration"` // from the first start of the task
	Until    *instant `json:"until"`    // an instant in the past ends the task at once
}

// Name returns "sleep".
func (s *Sleep) Name() string { return "sleep" }

// Check validates everything in `with` that does not depend on an expression. Its error is tasks.FieldErrors.
func (s *Sleep) Check(with map[string]any) error {
	err := s.typed.Check(with)
	if err != nil && with["duration"] == nil && with["until"] == nil {
		return err // one of the keys may be misspelt
	}
	return tasks.JoinFields(err, oneOf(with, "duration", "until"))
}

// Run defers the task to the end of its sleep. When it is called after that, it completes the task without output.
// The error is permanent for a `with` whose expressions have invalid values. Run also fails if it cannot read when
// the task first started.
func (s *Sleep) Run(ctx context.Context, call *tasks.Attempt) (json.RawMessage, error) {
	return s.typed.Run(ctx, call)
}

func (s *Sleep) run(ctx context.Context, in sleepWith) (struct{}, error) {
	call, _ := tasks.AttemptFrom(ctx)
	// The outbox delivers a deferred task only when its time has come, so the time is not checked again.
	if call.Resumed {
		return struct{}{}, nil
	}
	end, reason, err := in.end(ctx, call)
	if err != nil {
		return struct{}{}, err
	}
	if !call.Now().Before(end) {
		return struct{}{}, nil
	}
	return struct{}{}, tasks.DeferUntil(end, reason)
}

// end returns when the sleep ends, and the reason for the deferral. The sleep counts from the first start of the
// task, so an attempt after a worker's death does not begin another sleep.
func (in sleepWith) end(ctx context.Context, call *tasks.Attempt) (time.Time, string, error) {
	switch {
	case (in.Duration == nil) == (in.Until == nil):
		return time.Time{}, "", tasks.NonRetryable(errOneOf("duration", "until"))
	case in.Until != nil:
		end := time.Time(*in.Until)
		return end, "sleeping until " + end.UTC().Format(time.RFC3339), nil
	}
	begun, err := call.FirstStarted(ctx)
	if err != nil {
		return time.Time{}, "", fmt.Errorf("since when the task sleeps: %w", err)
	}
	d := time.Duration(*in.Duration)
	return begun.Add(d), "sleeping for " + d.String(), nil
}
