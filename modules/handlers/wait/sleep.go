// Package wait holds the handlers that pass time: sleep until an instant, and wait for a file or an answer. Neither holds a slot
// meanwhile: each defers its task, which is durable, and is called again when there is something to look at.
package wait

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/sluiceworks/sluice/modules/tasks"
)

// Sleep ends its task after a duration or at an instant. Make it by NewSleep.
type Sleep struct{ typed tasks.Handler }

// NewSleep makes the handler.
func NewSleep() *Sleep {
	s := &Sleep{}
	s.typed = tasks.NewHandler(s.Name(), s.run)
	return s
}

// sleepWith is what a task hands over: one of the two.
type sleepWith struct {
	Duration *span    `json:"duration"` // from the first start of the task on
	Until    *instant `json:"until"`    // one that is past ends the task at once
}

// Name is "sleep".
func (s *Sleep) Name() string { return "sleep" }

// Check looks at everything in `with` that does not depend on an expression. Its error is tasks.FieldErrors.
func (s *Sleep) Check(with map[string]any) error {
	err := s.typed.Check(with)
	if err != nil && with["duration"] == nil && with["until"] == nil {
		return err // one of them may be misspelt
	}
	return tasks.JoinFields(err, oneOf(with, "duration", "until"))
}

// Run defers the task to the end of its sleep, or, that having come, ends it without output. The error is otherwise permanent: a
// `with` whose expressions turned out wrong.
func (s *Sleep) Run(ctx context.Context, call *tasks.Call) (json.RawMessage, error) {
	return s.typed.Run(ctx, call)
}

func (s *Sleep) run(ctx context.Context, in sleepWith) (struct{}, error) {
	call, _ := tasks.CallFrom(ctx)
	// The outbox gives a deferred task back when its time has come, so there is no need to look.
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

// end is when the sleep ends. A task whose worker died while it was called again begins another attempt, not another sleep.
func (in sleepWith) end(ctx context.Context, call *tasks.Call) (time.Time, string, error) {
	switch {
	case (in.Duration == nil) == (in.Until == nil):
		return time.Time{}, "", tasks.Permanent(errOneOf("duration", "until"))
	case in.Until != nil:
		end := time.Time(*in.Until)
		return end, "sleeping until " + end.UTC().Format(time.RFC3339), nil
	}
	begun, err := call.Begun(ctx)
	if err != nil {
		return time.Time{}, "", fmt.Errorf("since when the task sleeps: %w", err)
	}
	d := time.Duration(*in.Duration)
	return begun.Add(d), "sleeping for " + d.String(), nil
}
