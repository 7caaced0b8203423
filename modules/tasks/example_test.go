package tasks_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/sluiceworks/sluice/modules/tasks"
)

// A typed handler: `with` is decoded into its input, strictly, and its output becomes JSON. A unit test needs no
// database.
func ExampleNewHandler() {
	type in struct {
		Path string `json:"path" sluice:"required"`
	}
	type out struct {
		Rows int `json:"rows"`
	}
	h := tasks.NewHandler("csv.count", func(ctx context.Context, in in) (out, error) {
		attempt, _ := tasks.AttemptFrom(ctx)
		fmt.Fprintf(attempt.Stdout, "counting %s\n", in.Path) // the log of the attempt
		return out{Rows: 3}, attempt.Annotate(ctx, map[string]int{"rows": 3})
	})
	output, err := h.Run(context.Background(), &tasks.Attempt{With: json.RawMessage(`{"path": "orders.csv"}`)})
	fmt.Println(string(output), err)
	fmt.Println(h.Check(map[string]any{"file": "orders.csv"}))
	// Output:
	// {"rows":3} <nil>
	// with.file: unknown key (known keys: path); with.path: is missing (it is required)
}

// upper implements Handler itself, because its `with` is free: any keys, all texts.
type upper struct{}

func (upper) Name() string { return "upper" }

func (upper) Check(with map[string]any) error {
	var errs []error
	for key, v := range with {
		if _, ok := v.(string); !ok {
			errs = append(errs, &tasks.FieldError{Field: key, Msg: "expected a text"})
		}
	}
	return tasks.JoinFields(errs...)
}

func (upper) Run(_ context.Context, a *tasks.Attempt) (json.RawMessage, error) {
	fmt.Fprintln(a.Stderr, "attempt", a.Number)
	return json.Marshal(string(a.With))
}

// The test of a Handler that was not made by NewHandler sets the functions and writers of its Attempt.
func ExampleAttempt_SetDefaults() {
	a := &tasks.Attempt{With: json.RawMessage(`{}`), Number: 1}
	a.SetDefaults()
	output, err := upper{}.Run(context.Background(), a)
	fmt.Println(string(output), err, upper{}.Check(map[string]any{"a": 1}))
	// Output: "{}" <nil> with.a: expected a text
}

// An ordinary error is retried as the task's policy says. RetryAfter also sets the shortest delay, such as the one that
// a server has asked for.
func ExampleRetryAfter() {
	h := tasks.NewHandler("send", func(context.Context, struct{}) (struct{}, error) {
		return struct{}{}, tasks.RetryAfter(errors.New("429 Too Many Requests"), 30*time.Second)
	})
	_, err := h.Run(context.Background(), &tasks.Attempt{})
	var later *tasks.RetryAfterError
	fmt.Println(err, errors.As(err, &later), later.Wait)
	// Output: 429 Too Many Requests true 30s
}

// An error that another attempt would meet again is permanent.
func ExampleNonRetryable() {
	h := tasks.NewHandler("charge", func(context.Context, struct{}) (struct{}, error) {
		return struct{}{}, tasks.NonRetryable(errors.New("the card has expired"))
	})
	_, err := h.Run(context.Background(), &tasks.Attempt{})
	var kinded *tasks.HandlerError
	fmt.Println(err, errors.As(err, &kinded), kinded.Kind)
	// Output: the card has expired true permanent
}

// A handler that waits frees its slot, and is called again from its beginning when the time has come.
func ExampleDeferUntil() {
	opening := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	h := tasks.NewHandler("trade", func(ctx context.Context, _ struct{}) (string, error) {
		attempt, _ := tasks.AttemptFrom(ctx)
		if attempt.Now().Before(opening) {
			return "", tasks.DeferUntil(opening, "the exchange is closed")
		}
		return "traded", nil
	})
	for _, now := range []time.Time{opening.Add(-time.Hour), opening} {
		output, err := h.Run(context.Background(), &tasks.Attempt{Now: func() time.Time { return now }})
		fmt.Println(string(output), err)
	}
	// Output:
	//  deferred until 2026-03-02T09:00:00Z: the exchange is closed
	// "traded" <nil>
}

// A process runs at most two tasks of the handler at once.
func ExampleWithLimit() {
	h := tasks.WithLimit(tasks.NewHandler("convert", func(context.Context, struct{}) (struct{}, error) {
		return struct{}{}, nil
	}), 2)
	registry, err := tasks.NewRegistry([]tasks.Handler{h, upper{}})
	fmt.Println(registry.Names(), registry.Limit("convert"), err)
	// Output: [convert upper] 2 <nil>
}
