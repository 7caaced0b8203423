package workers_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/sluiceworks/sluice/modules/enginetest"
	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/events/eventstore"
	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/modules/tasks/taskstore"
	"github.com/sluiceworks/sluice/modules/workers"
)

// badError is an error that can't even be read.
type badError struct{}

func (*badError) Error() string { panic("no text for you") }

// awkward is what handlers do to their worker, and what must be recorded of it.
var awkward = []struct {
	name string
	run  func(ctx context.Context, call *tasks.Attempt) (json.RawMessage, error)
	kind tasks.ErrorKind // of the failed attempt; empty: the task completes
	text string          // in its error, or its output
}{
	{"returns nothing", func(context.Context, *tasks.Attempt) (json.RawMessage, error) { return nil, nil }, "", ""},
	{
		"returns no bytes",
		func(context.Context, *tasks.Attempt) (json.RawMessage, error) { return json.RawMessage{}, nil }, "", "",
	},
	{"returns null", output("null"), "", "null"},
	{"returns no object", output(`"just text"`), "", `"just text"`},
	{"largest output", output(`"` + strings.Repeat("x", tasks.MaxOutput-2) + `"`), "", "xxx"},
	{
		"output too large", output(`"` + strings.Repeat("x", tasks.MaxOutput-1) + `"`), tasks.KindInvalidOutput,
		"1048577 bytes",
	},
	{"output of 10 MB", output(`"` + strings.Repeat("x", 10<<20) + `"`), tasks.KindInvalidOutput, "limit"},
	{"NUL in the output", output(`{"a": "\u0000"}`), tasks.KindInvalidOutput, "u0000"},
	{"NUL byte in the output", output("{\"a\": \"\x00\"}"), tasks.KindInvalidOutput, "output"},
	{"no UTF-8", output("{\"a\": \"\xff\"}"), tasks.KindInvalidOutput, "UTF-8"},
	{"half a surrogate pair", output(`{"a": "\ud800"}`), tasks.KindInvalidOutput, "output"},
	{"deep JSON", output(strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000)), tasks.KindInvalidOutput, "deep"},
	{"huge number", output(`1e999999`), tasks.KindInvalidOutput, "output"},
	{"no JSON", output(`{not json`), tasks.KindInvalidOutput, "JSON"},
	{"error without a text", fails(errors.New("")), tasks.KindError, "without a text"},
	{"error that panics", fails(&badError{}), tasks.KindPanic, "no text for you"},
	{"nil in an error", fails((*tasks.HandlerError)(nil)), tasks.KindPanic, "nil pointer"},
	{"NUL in the error", fails(errors.New("a\x00b\xffc")), tasks.KindError, "ab?c"},
	{"error of 10 MB", fails(errors.New(strings.Repeat("é", 5<<20))), tasks.KindError, "bytes in all"},
	{"permanent", fails(tasks.NonRetryable(errors.New("for ever"))), tasks.KindPermanent, "for ever"},
	{
		"permanent, wrapped", fails(fmt.Errorf("outside: %w", tasks.NonRetryable(errors.New("inside")))),
		tasks.KindPermanent, "outside: inside",
	},
	{"of a kind of its own", fails(tasks.WithKind("strange", errors.New("no known kind"))), "strange", "no known kind"},
	{"panic", panics("help"), tasks.KindPanic, "panic: help"},
	{"panic with an error", panics(errors.New("an error")), tasks.KindPanic, "an error"},
	{"panic with nil", panics(nil), tasks.KindPanic, "nil"},
	{"panic with what can't be printed", panics(&badError{}), tasks.KindPanic, "panic"},
	{"ends its goroutine", func(context.Context, *tasks.Attempt) (json.RawMessage,
		error,
	) {
		runtime.Goexit()
		return nil, nil
	}, tasks.KindPanic, "runtime.Goexit"},
	{"hangs", func(ctx context.Context, _ *tasks.Attempt) (json.RawMessage, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}, tasks.KindTimeout, "timed out after 1s"},
	{"defers to no time", defers(time.Time{}), "", ""},
	{"defers to the epoch", defers(time.Unix(0, 0)), "", ""},
	{"defers to long ago", defers(time.Date(-5000, 1, 1, 0, 0, 0, 0, time.UTC)), "", ""},
	{"defers for ever", defers(time.Date(12000, 1, 1, 0, 0, 0, 0, time.UTC)), tasks.KindError, "12000"},
	{"defers beyond all clocks", defers(time.Unix(1<<50, 0)), tasks.KindError, "deferred"},
	{"writes 10 MB and no text", func(_ context.Context, call *tasks.Attempt) (json.RawMessage, error) {
		_, err := call.Stdout.Write(bytes.Repeat([]byte("\x00\xff"), 5<<20))
		_, err2 := call.Stderr.Write([]byte("é\x00é"))
		return nil, errors.Join(err, err2)
	}, "", ""},
	{"annotates what is no JSON", func(ctx context.Context, call *tasks.Attempt) (json.RawMessage, error) {
		return nil, call.Annotate(ctx, func() {})
	}, tasks.KindError, "annotation"},
	{"annotates a NUL", func(ctx context.Context, call *tasks.Attempt) (json.RawMessage, error) {
		return nil, call.Annotate(ctx, "a\x00b")
	}, tasks.KindError, "annotation"},
}

func output(text string) func(context.Context, *tasks.Attempt) (json.RawMessage, error) {
	return func(context.Context, *tasks.Attempt) (json.RawMessage, error) { return json.RawMessage(text), nil }
}

func fails(err error) func(context.Context, *tasks.Attempt) (json.RawMessage, error) {
	return func(context.Context, *tasks.Attempt) (json.RawMessage, error) { return nil, err }
}

func panics(v any) func(context.Context, *tasks.Attempt) (json.RawMessage, error) {
	return func(context.Context, *tasks.Attempt) (json.RawMessage, error) { panic(v) }
}

// defers asks for it in the first call, and says so in the second.
func defers(until time.Time) func(context.Context, *tasks.Attempt) (json.RawMessage, error) {
	return func(_ context.Context, call *tasks.Attempt) (json.RawMessage, error) {
		if _, err := call.Stdout.Write([]byte("called")); err != nil {
			return nil, err
		}
		return nil, tasks.DeferUntil(until, "because\x00\xff")
	}
}

// TestPoolSurvivesHandlers: whatever a handler does is a recorded outcome, and its worker goes on with the next task.
func TestPoolSurvivesHandlers(t *testing.T) {
	var list []definition.Task
	for i := range awkward {
		with, err := json.Marshal(map[string]int{"case": i})
		must(t, err)
		x := definition.Task{ID: fmt.Sprintf("t%02d", i), Uses: "awkward", With: with, Timeout: time.Second}
		list = append(list, x, rule(definition.Always).to(step("after-"+x.ID, []string{x.ID})))
	}
	enginetest.Each(t, nil, func(t *testing.T, base *enginetest.Stack) {
		s := enginetest.New(t, base.DB, &enginetest.Scripted{},
			&poolHandler{"awkward", func(ctx context.Context, call *tasks.Attempt) (json.RawMessage, error) {
				var with struct{ Case int }
				if err := json.Unmarshal(call.With, &with); err != nil {
					return nil, err
				}
				return again(ctx, base, call, awkward[with.Case].run)
			}})
		ctx := context.Background()
		s.Work(t, ctx, workers.Config{Slots: 3})
		id := s.Start(t, ctx, s.Define(t, "awkward", slices.Clone(list)...), "")
		if e := s.Wait(t, ctx, id); e.Status != pipelines.Failed {
			t.Errorf("status %s, want Failed", e.Status)
		}
		for i, c := range awkward {
			x := taskRow(t, s, id, fmt.Sprintf("t%02d", i))
			e, data := lastEvent(t, s, x.ID)
			if c.kind == "" {
				if x.Status != tasks.Completed || !strings.Contains(string(x.Output), c.text) || c.text == "" &&
					x.Output != nil {
					t.Errorf("%s: %s (%s) with output %.100s", c.name, x.Status, x.Error, x.Output)
				}
				continue
			}
			if e.EventType != events.TaskFailed || data["error_kind"] != string(c.kind) ||
				!strings.Contains(string(x.Error), c.text) {
				t.Errorf("%s: %s, error_kind %v, error %.200s; want %s with %q", c.name, e.EventType,
					data["error_kind"], x.Error, c.kind, c.text)
			}
			if len(x.Error) > tasks.MaxError || !utf8.ValidString(string(x.Error)) ||
				strings.ContainsRune(string(x.Error), 0) {
				t.Errorf("%s: an error of %d bytes that is too long or no text", c.name, len(x.Error))
			}
		}
		logs, err := s.Tasks.Logs(ctx, id)
		must(t, err)
		if !slices.ContainsFunc(logs, func(l taskstore.Log) bool { return strings.HasSuffix(l.Stderr, "éé") }) {
			t.Error("what a handler wrote beside NUL bytes is not kept")
		}
	})
}

// again calls a handler once more for a task that it has deferred, and then lets the task complete.
func again(
	ctx context.Context, s *enginetest.Stack, call *tasks.Attempt,
	run func(context.Context, *tasks.Attempt) (json.RawMessage, error),
) (json.RawMessage, error) {
	list, err := s.Events.ListByTask(ctx, call.TaskExecutionID, eventstore.Page{})
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(list, func(e events.Event) bool { return e.EventType == events.TaskDeferred }) {
		return nil, nil
	}
	return run(ctx, call)
}
