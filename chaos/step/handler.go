package step

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"github.com/sluiceworks/sluice/modules/tasks"
)

// ExitCode is the status of a process whose handler called os.Exit.
const ExitCode = 77

// huge is the size of an output that no database should receive, in bytes.
const huge = 10 << 20

// deaf is how long a handler runs that ignores its context.
const deaf = time.Second

// Handler does what a task's `with` says: {"ms": maximum duration, "do": a word}. It writes to the ledger before and
// after.
type Handler struct {
	ledger *Ledger
}

// NewHandler returns the handler.
func NewHandler(l *Ledger) *Handler { return &Handler{ledger: l} }

// Name returns the name that definitions use.
func (*Handler) Name() string { return "chaos.step" }

// with is a task's `with`.
type with struct {
	MS int    `json:"ms"`
	Do string `json:"do"`
	At int64  `json:"at"` // when a deferral ends, in Unix milliseconds
}

// Check returns an error for an unknown word.
func (*Handler) Check(values map[string]any) error {
	if word, _ := values["do"].(string); word != "" && words[word] == nil {
		return &tasks.FieldError{Field: "do", Msg: "is not a known word"}
	}
	return nil
}

// Run handles one call.
func (h *Handler) Run(ctx context.Context, call *tasks.Attempt) (out json.RawMessage, err error) {
	var w with
	if err := json.Unmarshal(call.With, &w); err != nil {
		return nil, tasks.NonRetryable(err)
	}
	if err := h.ledger.start(call); err != nil {
		return nil, err
	}
	how := EndPanic // unless it returns
	defer func() { err = errors.Join(err, h.ledger.end(call, how)) }()
	if err = wait(ctx, time.Duration(rand.Int64N(int64(w.MS)*int64(time.Millisecond)+1))); err == nil {
		out = json.RawMessage(fmt.Sprintf(`{"attempt": %d}`, call.Number))
		if do := words[w.Do]; do != nil {
			out, err = do(call, w)
		}
	}
	var later *tasks.DeferError
	switch {
	case err == nil:
		how = EndOK
	case errors.As(err, &later):
		how = EndDefer
	default:
		how = EndErr
	}
	return out, err
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// words are what a handler may do in addition to its work.
var words = map[string]func(*tasks.Attempt, with) (json.RawMessage, error){
	"retry": failTwice,
	"defer": deferOnce,
	"refuse": func(*tasks.Attempt, with) (json.RawMessage, error) {
		return nil, tasks.NonRetryable(errors.New("refused for good"))
	},
	"panic": func(*tasks.Attempt, with) (json.RawMessage, error) { panic("a handler's panic") },
	"exit": func(*tasks.Attempt, with) (json.RawMessage, error) {
		os.Exit(ExitCode)
		return nil, nil
	},
	"ignore": func(*tasks.Attempt, with) (json.RawMessage, error) {
		return nil, errors.Join(wait(context.Background(), deaf), errors.New("late, and in vain"))
	},
	"huge": func(*tasks.Attempt, with) (json.RawMessage, error) {
		return json.RawMessage(`"` + strings.Repeat("x", huge) + `"`), nil
	},
	"nul": func(*tasks.Attempt, with) (json.RawMessage, error) { return json.RawMessage(`{"a": "b\u0000c"}`), nil },
	"utf8": func(*tasks.Attempt, with) (json.RawMessage, error) {
		return json.RawMessage("{\"a\": \"\xff\xfe\"}"), nil
	},
	"garble": func(*tasks.Attempt, with) (json.RawMessage, error) {
		return nil, errors.New("an error with \x00 and \xff in it")
	},
}

func failTwice(call *tasks.Attempt, _ with) (json.RawMessage, error) {
	if call.Number <= 2 {
		return nil, fmt.Errorf("attempt %d fails", call.Number)
	}
	return nil, nil
}

// deferOnce uses a time from the run's input, so that no process has to remember it.
func deferOnce(_ *tasks.Attempt, w with) (json.RawMessage, error) {
	if at := time.UnixMilli(w.At); time.Now().Before(at) {
		return nil, tasks.DeferUntil(at, "the run's input says so")
	}
	return nil, nil
}
