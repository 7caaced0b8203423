package definition_test

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/tasks"
)

func TestCheckFillsDefaults(t *testing.T) {
	d := definition.Definition{
		Name:  "p",
		Input: []definition.InputField{{Name: "x"}},
		Tasks: []definition.Task{
			{ID: "a", Uses: "echo", With: json.RawMessage(` { "b": 1.0, "a": "<" } `)},
			{
				ID: "b", Run: "true", Retry: tasks.RetryPolicy{MaxAttempts: 3}, Timeout: time.Second,
				TriggerRule: definition.Always,
			},
			{ID: "c", Run: "true", Retry: tasks.RetryPolicy{PermanentErrors: []tasks.ErrorKind{tasks.KindExit}}},
			{ID: "d", Run: "true", Retry: tasks.RetryPolicy{MaxDelay: time.Millisecond}},
		},
	}
	if err := d.Check(catalog(t)); err != nil {
		t.Fatal(err)
	}
	standard := tasks.DefaultRetryPolicy()
	permanent := standard
	permanent.PermanentErrors = []tasks.ErrorKind{tasks.KindExit}
	want := []tasks.RetryPolicy{
		standard,
		{MaxAttempts: 3, Backoff: standard.Backoff, Delay: standard.Delay},
		permanent,
		{MaxAttempts: 1, Backoff: standard.Backoff, Delay: time.Millisecond, MaxDelay: time.Millisecond},
	}
	for i := range want {
		if diff := cmp.Diff(want[i], d.Tasks[i].Retry); diff != "" {
			t.Errorf("task %d: %s", i, diff)
		}
	}
	a, b := &d.Tasks[0], &d.Tasks[1]
	if a.TriggerRule != definition.AllSuccess || a.Timeout != definition.DefaultTimeout ||
		string(a.With) != `{"a":"<","b":1.0}` {
		t.Errorf("%+v", a)
	}
	if b.TriggerRule != definition.Always || b.Timeout != time.Second || d.Input[0].Type != definition.TypeAny {
		t.Errorf("%+v %+v", b, d.Input)
	}
	if a.Handler() != "echo" || b.Handler() != definition.ShellHandler {
		t.Errorf("handlers %q %q", a.Handler(), b.Handler())
	}
}

func TestCheckReportsPaths(t *testing.T) {
	d := definition.Definition{
		Timeout: -1,
		Input: []definition.InputField{
			{Name: "x", Type: "strin"},
			{Name: "x"},
			{Name: "", Type: "any"},
			{Name: "d", Default: json.RawMessage("{")},
			{Name: "e", Description: "a\xff"},
		},
		Tasks: []definition.Task{
			{ID: "a", Uses: "echo", With: json.RawMessage(`[1]`), Timeout: -1},
			{ID: "b", Uses: "echo", With: json.RawMessage(`{`), Needs: []string{"a", "a", "b", "zz", ""}},
			{ID: "c", Run: "a\x00b", Env: map[string]string{"A": "\x00"}, If: "\x00", Retry: tasks.RetryPolicy{
				MaxAttempts: -1, Backoff: "sometimes", Delay: -1, MaxDelay: -2, Jitter: math.NaN(),
				PermanentErrors: []tasks.ErrorKind{"exit", "wrong"},
			}},
			{ID: "d", Run: "a\xff", Retry: tasks.RetryPolicy{Delay: time.Hour, MaxDelay: time.Minute}},
			{Uses: "fetch", With: json.RawMessage(`{"url":"u","headers":{"x":1},"retries":1.5}`)},
		},
	}
	err := d.Check(catalog(t))
	want := `name: the pipeline has no name (write name: and the pipeline's name)
input.x.type: unknown type "strin" (did you mean "string"?)
input.x: the input field "x" is declared twice
input.: invalid input field name "" (letters, digits, _ and -, at most 100, the first a letter or _)
input.d.default: the default is not valid JSON: it is not JSON: line 1, column 1: unexpected end of JSON input
input.e.description: the description is not valid UTF-8
timeout: timeout is negative (write such as 30s, 5m, 1h30m, 2d or 1w)
tasks[0].with: with is an array, and must be an object
tasks[0].timeout: timeout is negative (write such as 30s, 5m, 1h30m, 2d or 1w)
tasks[1].with: with is not valid JSON: it is not JSON: line 1, column 1: unexpected end of JSON input
tasks[2].run: run holds a NUL byte
tasks[2].env.A: the value of A holds a NUL byte
tasks[2].if: if holds a NUL byte
tasks[2].retry.max_attempts: max_attempts is -1 (from 1, which is no retry, to 1000)
tasks[2].retry.backoff: unknown backoff "sometimes" (known: fixed, linear, exponential)
tasks[2].retry.delay: delay is negative (write such as 30s, 5m, 1h30m, 2d or 1w)
tasks[2].retry.max_delay: max_delay is negative (write such as 30s, 5m, 1h30m, 2d or 1w)
tasks[2].retry.jitter: jitter is NaN (from 0 to 1: 0.2 varies the delay by ± 20 %)
tasks[2].retry.permanent_errors[1]: unknown kind of error "wrong" (known: error, exit, http, ` +
		`timeout, panic, expression, invalid_output, permanent)
tasks[3].run: run is not valid UTF-8
tasks[3].retry.max_delay: max_delay (1m0s) is shorter than delay (1h0m0s)
tasks[4].with.retries: with.retries: is the number 1.5, expected a whole number
tasks[4].id: the task has no id (give it a name that needs can refer to)
tasks[1].needs[1]: duplicate name "a" in needs (name it once)
tasks[1].needs[2]: the task "b" needs itself
tasks[1].needs[3]: unknown task "zz" in needs (known: a, b, c, d)
tasks[1].needs[4]: unknown task "" in needs (known: a, b, c, d)`
	if err == nil {
		t.Fatal("no error")
	}
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Error(diff)
	}
	var problems definition.Diagnostics
	if !errors.As(err, &problems) {
		t.Fatalf("%T", err)
	}
	for _, p := range problems {
		if p.Line != 0 || p.File != "" || p.Path == "" {
			t.Errorf("%+v", p)
		}
	}
}

func TestCheckPlacesHandlersErrors(t *testing.T) {
	check := func(with string, err error) string {
		r, regErr := tasks.NewRegistry([]tasks.Handler{complaining{err}})
		if regErr != nil {
			t.Fatal(regErr)
		}
		d := definition.Definition{
			Name:  "p",
			Tasks: []definition.Task{{ID: "a", Uses: "complaining", With: json.RawMessage(with)}},
		}
		return d.Check(r).Error()
	}
	tests := []struct {
		err  error
		want string
	}{
		{errors.New("no"), "tasks[0].with: no"},
		{&tasks.FieldError{Msg: "no", Hint: "yes"}, "tasks[0].with: with: no (yes)"},
		{&tasks.FieldError{Field: "a.b", Msg: "no"}, "tasks[0].with.a.b: with.a.b: no"},
		{&tasks.FieldError{Field: "x.y", Msg: "no"}, "tasks[0].with.x.y: with.x.y: no"},
	}
	for _, test := range tests {
		if got := check(`{"a.b":1,"x":{"y":2}}`, test.err); got != test.want {
			t.Errorf("got %s, want %s", got, test.want)
		}
	}
}

// complaining is a handler that was not made with NewHandler and whose Check always returns an error.
type complaining struct{ err error }

func (c complaining) Name() string               { return "complaining" }
func (c complaining) Check(map[string]any) error { return c.err }
func (c complaining) Run(context.Context, *tasks.Attempt) (json.RawMessage, error) {
	return nil, c.err
}
