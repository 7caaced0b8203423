package sluicetest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/dbtype"
	"github.com/sluiceworks/sluice/platform/jsonvalue"
)

// Call is what Handle passes to a handler. The zero value is the first attempt of a task without `with`, of a run
// without input.
type Call struct {
	With    any               // encoded as a JSON object; nil: {}
	Input   any               // the run's input, encoded as a JSON object; nil: {}
	Needs   map[string]any    // the outputs of the dependencies, by task, encoded as JSON
	Env     map[string]string // the task's `env`
	Number  int               // of the attempt; 0: 1
	Resumed bool              // the attempt continues after a deferral
	Now     time.Time         // what Attempt.Now returns; zero: the local time
	Started time.Time         // what Attempt.FirstStarted returns; zero: Now
	Context context.Context   // of the attempt; nil: the context of the test
}

// Result is what a handler has returned and written.
type Result struct {
	Output         json.RawMessage // nil: none
	Err            error
	Stdout, Stderr string
	Annotations    []json.RawMessage // in the order of Attempt.Annotate
	Exit           *int              // the exit code that the handler has set
}

// Decode decodes the output into the value that v points to. It returns the handler's error if there is one.
func (r Result) Decode(v any) error {
	if r.Err != nil {
		return r.Err
	}
	return json.Unmarshal(r.Output, v)
}

// Deferred returns until when the handler has deferred its task, and whether it has.
func (r Result) Deferred() (until time.Time, deferred bool) {
	var d *tasks.DeferError
	if !errors.As(r.Err, &d) {
		return time.Time{}, false
	}
	return d.Until, true
}

// Permanent reports whether the error prevents further attempts, whatever the task's retry policy.
func (r Result) Permanent() bool {
	var e *tasks.HandlerError
	return errors.As(r.Err, &e) && (e.NonRetryable || !tasks.RetryPolicy{}.Retryable(e.Kind))
}

// Handle calls a handler as a worker would for one attempt, without a database, and returns the result. It first
// validates the handler's name and calls Check with With; an error of Check is returned as Result.Err, and Run is not
// called. An output that a worker would refuse is an error of tasks.KindInvalidOutput. Each call has a new RunDir below
// t.TempDir. Handle fails the test only if the Call cannot be encoded or the handler could not be registered; a panic
// of the handler is not caught.
func Handle(t testing.TB, h tasks.Handler, c Call) Result {
	t.Helper()
	if _, err := tasks.NewRegistry([]tasks.Handler{h}); err != nil {
		t.Fatal(err)
	}
	attempt, with := c.attempt(t)
	if err := h.Check(with); err != nil {
		return Result{Err: tasks.NonRetryable(err)}
	}
	var stdout, stderr output
	var r Result
	attempt.Stdout, attempt.Stderr = &stdout, &stderr
	attempt.SetDefaults()
	var mu sync.Mutex
	check := attempt.Annotate
	attempt.Annotate = func(ctx context.Context, data any) error {
		if err := check(ctx, data); err != nil {
			return err
		}
		doc, err := json.Marshal(data)
		mu.Lock()
		defer mu.Unlock()
		r.Annotations = append(r.Annotations, doc)
		return err
	}
	ctx := c.Context
	if ctx == nil {
		ctx = t.Context()
	}
	out, err := h.Run(ctx, attempt)
	mu.Lock()
	defer mu.Unlock()
	if r.Output, r.Err, r.Exit = out, err, attempt.Exit; err == nil && len(out) > 0 {
		if err := jsonvalue.Check(out, tasks.MaxOutput); err != nil {
			r.Output, r.Err = nil, tasks.WithKind(tasks.KindInvalidOutput, fmt.Errorf("output: %w", err))
		}
	}
	r.Stdout, r.Stderr = stdout.String(), stderr.String()
	return r
}

// attempt returns the attempt of a call, and its `with` as Check gets it.
func (c Call) attempt(t testing.TB) (*tasks.Attempt, map[string]any) {
	t.Helper()
	a := &tasks.Attempt{
		PipelineExecutionID: dbtype.NewID(), TaskExecutionID: dbtype.NewID(), PipelineName: "test", TaskName: "test",
		Number: max(c.Number, 1), Resumed: c.Resumed, Worker: "test", Env: c.Env, Needs: map[string]json.RawMessage{},
		RunDir: filepath.Join(t.TempDir(), "run"),
	}
	a.With, a.Input = encodeObject(t, "With", c.With), encodeObject(t, "Input", c.Input)
	for task, out := range c.Needs {
		a.Needs[task] = encode(t, "Needs", out)
	}
	if !c.Now.IsZero() {
		a.Now = func() time.Time { return c.Now }
	}
	if !c.Started.IsZero() {
		a.FirstStarted = func(context.Context) (time.Time, error) { return c.Started, nil }
	}
	var with map[string]any
	if err := jsonvalue.NewDecoder(a.With).Decode(&with); err != nil {
		t.Fatalf("With: %v", err)
	}
	return a, with
}

// encodeObject encodes a value that must be a JSON object; nil is {}.
func encodeObject(t testing.TB, name string, v any) json.RawMessage {
	t.Helper()
	if v == nil {
		return json.RawMessage("{}")
	}
	doc := encode(t, name, v)
	if !bytes.HasPrefix(doc, []byte("{")) {
		t.Fatalf("%s must be encoded as a JSON object, and is %s", name, doc)
	}
	return doc
}

func encode(t testing.TB, name string, v any) json.RawMessage {
	t.Helper()
	doc, err := json.Marshal(v)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return doc
}

// output collects what a handler writes; handlers may write concurrently.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}
