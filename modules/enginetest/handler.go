package enginetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// Scripted is a handler that does in each call what the task's `with` says: {"do": ["error", "defer", "ok"]}, the last
// word for all further calls. Words: ok, error, permanent, defer, panic, hang (until the context ends), bad (output
// that is not JSON).
type Scripted struct {
	mu    sync.Mutex
	calls map[dbtype.ID]int
	// Called receives the name of each task whose handler starts, if it is not nil.
	Called chan string
}

// Name is what definitions use.
func (h *Scripted) Name() string { return "scripted" }

// Check accepts all.
func (h *Scripted) Check(map[string]any) error { return nil }

// Calls is how often the handler has run for a task.
func (h *Scripted) Calls(id dbtype.ID) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.calls[id]
}

// Run does the next word.
func (h *Scripted) Run(ctx context.Context, call *tasks.Attempt) (json.RawMessage, error) {
	var with struct{ Do []string }
	if len(call.With) > 0 {
		if err := json.Unmarshal(call.With, &with); err != nil {
			return nil, err
		}
	}
	h.mu.Lock()
	if h.calls == nil {
		h.calls = map[dbtype.ID]int{}
	}
	n := h.calls[call.TaskExecutionID]
	h.calls[call.TaskExecutionID]++
	h.mu.Unlock()
	if h.Called != nil {
		h.Called <- call.TaskName
	}
	word := "ok"
	if len(with.Do) > 0 {
		word = with.Do[min(n, len(with.Do)-1)]
	}
	switch word {
	case "error":
		return nil, fmt.Errorf("call %d of %s fails", n+1, call.TaskName)
	case "permanent":
		return nil, tasks.NonRetryable(errors.New("this can't be mended"))
	case "defer":
		return nil, tasks.DeferUntil(time.Unix(0, 0), "not yet") // long past: due at once
	case "panic":
		panic("a handler's panic")
	case "hang":
		<-ctx.Done()
		return nil, ctx.Err()
	case "bad":
		return json.RawMessage("{not json"), nil
	}
	return json.RawMessage(fmt.Sprintf(`{"task": %q, "attempt": %d}`, call.TaskName, call.Number)), nil
}
