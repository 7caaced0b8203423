package sluicetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sluiceworks/sluice/modules/pipelines"
	"github.com/sluiceworks/sluice/modules/pipelines/definition"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// recorder replaces a test that is expected to fail. failing runs its cleanups.
type recorder struct {
	testing.TB
	said     string
	cleanups []func()
}

func (r *recorder) Helper()                      {}
func (r *recorder) Cleanup(f func())             { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Error(args ...any)            { r.said += fmt.Sprintln(args...) }
func (r *recorder) Fatal(args ...any)            { r.Error(args...); runtime.Goexit() }
func (r *recorder) Errorf(f string, args ...any) { r.Error(fmt.Sprintf(f, args...)) }
func (r *recorder) Fatalf(f string, args ...any) { r.Fatal(fmt.Sprintf(f, args...)) }

// failing calls a function as a test of its own, and returns what it failed with; empty if it passed.
func failing(t *testing.T, run func(r *recorder)) string {
	t.Helper()
	r, done := &recorder{TB: t}, make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			for i := len(r.cleanups); i > 0; i-- {
				r.cleanups[i-1]()
			}
		}()
		run(r)
	}()
	<-done
	return r.said
}

var ok = tasks.NewHandler("ok", func(context.Context, struct{}) (struct{}, error) { return struct{}{}, nil })

func TestHandlePassesTheCall(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	code := 3
	h := tasks.NewHandler("all", func(ctx context.Context, in map[string]int) (string, error) {
		a, _ := tasks.AttemptFrom(ctx)
		if err := a.MakeRunDir(); err != nil {
			return "", err
		}
		if err := os.WriteFile(a.RunDir+"/file", nil, 0o600); err != nil {
			return "", err
		}
		if err := a.Annotate(ctx, "not an object"); err == nil {
			return "", errors.New("an annotation that is not an object was accepted")
		}
		if err := a.Annotate(ctx, map[string]int{"n": in["n"]}); err != nil {
			return "", err
		}
		started, err := a.FirstStarted(ctx)
		fmt.Fprint(a.Stderr, string(a.Input), string(a.Needs["before"]), a.Env["A"], a.Number, a.Resumed, a.Now().
			Equal(now), now.Sub(started))
		a.Exit = &code
		return "out", err
	})
	r := Handle(t, h, Call{
		With: map[string]int{"n": 1}, Input: map[string]int{"m": 2}, Needs: map[string]any{"before": []int{3}},
		Env:    map[string]string{"A": "b"},
		Number: 4, Resumed: true, Now: now, Started: now.Add(-time.Minute),
	})
	if r.Err != nil || string(r.Output) != `"out"` || *r.Exit != 3 || len(r.Annotations) != 1 ||
		string(r.Annotations[0]) != `{"n":1}` {
		t.Errorf("%+v", r)
	}
	if want := `{"m":2}[3]b4 true true 1m0s`; r.Stderr != want {
		t.Errorf("%q, expected %q", r.Stderr, want)
	}
	var text string
	if err := r.Decode(&text); err != nil || text != "out" {
		t.Errorf("%q %v", text, err)
	}
}

// TestHandleReportsErrors checks errors of Check and of the output, deferrals, and the end of the context.
func TestHandleReportsErrors(t *testing.T) {
	t.Parallel()
	until := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	errs := map[string]error{
		"defer":     tasks.DeferUntil(until, "later"),
		"permanent": tasks.NonRetryable(errors.New("x")), "other": errors.New("x"),
	}
	h := tasks.NewHandler("errors", func(ctx context.Context, in struct {
		What string `json:"what" sluice:"required"`
	},
	) (json.RawMessage, error) {
		if in.What == "nul" {
			return json.RawMessage(`"\u0000"`), nil
		}
		if in.What == "wait" {
			<-ctx.Done()
			return nil, context.Cause(ctx)
		}
		return nil, errs[in.What]
	})
	call := func(what string) Result { return Handle(t, h, Call{With: map[string]string{"what": what}}) }
	if got, deferred := call("defer").Deferred(); !deferred || !got.Equal(until) {
		t.Errorf("%v %v", got, deferred)
	}
	if _, deferred := call("other").Deferred(); deferred || call("other").Permanent() || !call("permanent").
		Permanent() {
		t.Error("the kinds of errors are not distinguished")
	}
	if r := call("nul"); !r.Permanent() || r.Output != nil || !strings.Contains(r.Err.Error(), `\u0000`) {
		t.Errorf("%+v", r)
	}
	if r := Handle(t, h, Call{}); !r.Permanent() || !strings.Contains(r.Err.Error(), "with.what: is missing") {
		t.Errorf("%+v", r)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("the test is over"))
	if r := Handle(t, h,
		Call{With: map[string]string{"what": "wait"}, Context: ctx}); r.Err.Error() != "the test is over" {
		t.Errorf("%+v", r)
	}
	for name, c := range map[string]Call{"a list": {With: []int{1}}, "a function": {Input: func() {}}} {
		if said := failing(t, func(r *recorder) { Handle(r, ok, c) }); said == "" {
			t.Errorf("%s was accepted", name)
		}
	}
	if said := failing(t, func(r *recorder) { Handle(r, tasks.WithLimit(ok, -1), Call{}) }); !strings.Contains(said,
		"limit") {
		t.Errorf("a handler that cannot be registered: %q", said)
	}
}

// TestStartChecksDefinitions checks that definitions in Go are checked, and that a missing handler is reported.
func TestStartChecksDefinitions(t *testing.T) {
	t.Parallel()
	e := New(t, ok)
	def := &definition.Definition{Name: "p", Tasks: []definition.Task{{ID: "a", Uses: "ok"}}}
	for range 2 {
		if run := e.Run(def, nil); run.Status != pipelines.Completed {
			t.Error(run)
		}
	}
	for want, do := range map[string]func(e *Engine){
		`unknown handler "okay"`:     func(e *Engine) { e.Parse("name: p\ntasks:\n  - {id: a, uses: okay}\n") },
		"which New was not given":    func(e *Engine) { e.Start(unchecked(t), nil) },
		"input must be encoded":      func(e *Engine) { e.Start(def, 3) },
		`has no task "b"`:            func(e *Engine) { e.Run(def, nil).Task("b") },
		"output of a":                func(e *Engine) { e.Run(def, nil).Decode("a", new(int)) },
		"no such pipeline execution": func(e *Engine) { e.Wait(dbtype.NewID()) },
	} {
		if said := failing(t, func(r *recorder) { do(New(r, ok)) }); !strings.Contains(said, want) {
			t.Errorf("%q, expected %q", said, want)
		}
	}
}

// unchecked returns a definition whose handlers were not checked.
func unchecked(t *testing.T) *definition.Definition {
	t.Helper()
	def, err := definition.Parse("p.yaml", []byte("name: p\ntasks:\n  - {id: a, uses: nobody}\n"), nil)
	if err != nil {
		t.Fatal(err)
	}
	return def
}

// TestTheHistoryIsVerified checks that a breach that a test leaves fails it.
func TestTheHistoryIsVerified(t *testing.T) {
	t.Parallel()
	clean := func(t testing.TB) *Engine {
		t.Helper()
		e := New(t, ok)
		e.Run(&definition.Definition{Name: "p", Tasks: []definition.Task{{ID: "a", Uses: "ok"}}}, nil)
		return e
	}
	if said := failing(t, func(r *recorder) { clean(r) }); said != "" {
		t.Errorf("a run that is whole: %s", said)
	}
	said := failing(t, func(r *recorder) {
		e := clean(r)
		err := e.db.Transaction(r.Context(), func(tx db.Tx) error {
			_, err := tx.Exec(`INSERT INTO {task_outbox} (task_execution_id, available_at, created_at)
  VALUES ($id, $now, $now)`,
				db.Args{"id": dbtype.NewID(), "now": tx.Now})
			return err
		})
		if err != nil {
			r.Fatal(err)
		}
	})
	if !strings.Contains(said, "I4 claimable") {
		t.Errorf("an outbox row without a task: %q", said)
	}
}
