package tasks

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"reflect"
)

// NewHandler makes a Handler of a function with typed input and output.
//
// In is a struct with json tags, a map, or struct{} for a handler that takes nothing. A task's `with` is decoded into
// it strictly: an unknown key, a value of another type, or the absence of a field tagged `sluice:"required"` is an
// error when the definition is registered, and a permanent error when only the evaluated expressions show it. A number
// in a field of type any arrives as json.Number, so that no large integer is rounded.
//
// Out is anything that JSON can hold; struct{} and nil leave no output. An output that is larger than MaxOutput, or
// that is no JSON, is an error of KindInvalidOutput.
//
// The context that run gets holds the Call: see AttemptFrom. The registry checks the name.
func NewHandler[In, Out any](name string, run func(ctx context.Context, in In) (Out, error)) Handler {
	return &typedHandler[In, Out]{name: name, run: run}
}

type typedHandler[In, Out any] struct {
	name string
	run  func(context.Context, In) (Out, error)
}

func (h *typedHandler[In, Out]) Name() string { return h.name }

func (h *typedHandler[In, Out]) Check(with map[string]any) error {
	if with == nil {
		with = map[string]any{}
	}
	return decodeFields(withoutExpressions(with), new(In), checkKeys(reflect.TypeFor[In](), "", with))
}

func (h *typedHandler[In, Out]) Run(ctx context.Context, call *Attempt) (json.RawMessage, error) {
	var in In
	if err := decodeWith(call.With, &in); err != nil {
		return nil, NonRetryable(err)
	}
	out, err := h.run(context.WithValue(ctx, attemptKey{}, call), in)
	if err != nil {
		return nil, err
	}
	return encodeOutput(out)
}

type attemptKey struct{}

// AttemptFrom gives a function made into a handler by NewHandler the attempt that it is running: its ids, its number,
// Annotate.
func AttemptFrom(ctx context.Context) (*Attempt, bool) {
	call, ok := ctx.Value(attemptKey{}).(*Attempt)
	return call, ok
}

// decodeWith reads an evaluated `with` into the value that in points to.
func decodeWith(with json.RawMessage, in any) error {
	if len(with) == 0 {
		with = json.RawMessage("{}")
	}
	dec := json.NewDecoder(bytes.NewReader(with))
	dec.UseNumber()
	var fields map[string]any
	if err := dec.Decode(&fields); err != nil {
		return &FieldError{Msg: "with is no JSON object: " + err.Error()}
	}
	return decodeFields(fields, in, checkKeys(reflect.TypeOf(in).Elem(), "", fields))
}

func encodeOutput(out any) (json.RawMessage, error) {
	if _, ok := out.(struct{}); ok {
		return nil, nil
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(out); err != nil {
		return nil, WithKind(KindInvalidOutput, fmt.Errorf("encode output: %w", err))
	}
	raw := json.RawMessage(bytes.TrimSpace(buf.Bytes()))
	if string(raw) == "null" {
		return nil, nil
	}
	if len(raw) > MaxOutput {
		return nil, WithKind(KindInvalidOutput, fmt.Errorf("output is %d bytes of JSON, at most %d are kept", len(raw), MaxOutput))
	}
	return raw, nil
}
