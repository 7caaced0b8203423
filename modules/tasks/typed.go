package tasks

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/sluiceworks/sluice/platform/jsonvalue"
)

// NewHandler returns a Handler that calls run with typed input and returns its typed output.
//
// In is a struct with json tags, a map, or struct{} for a handler without input. A task's `with` is decoded strictly:
// unknown keys, values of a wrong type, and missing fields tagged `sluice:"required"` are errors. They are reported
// when the definition is registered or, if they depend on expressions, as a permanent error of the attempt. A number in
// a field of type any is decoded as json.Number, so that large integers are not rounded.
//
// Out is any type that encoding/json can encode. struct{} and nil produce no output. An output that is larger than
// MaxOutput or cannot be encoded as JSON is an error of KindInvalidOutput.
//
// The context passed to run contains the Attempt, whose functions and writers are never nil; see AttemptFrom.
// NewRegistry validates the name.
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
	call.SetDefaults()
	out, err := h.run(context.WithValue(ctx, attemptKey{}, call), in)
	if err != nil {
		return nil, err
	}
	return encodeOutput(out)
}

type attemptKey struct{}

// AttemptFrom returns the current attempt from the context that a function passed to NewHandler receives.
func AttemptFrom(ctx context.Context) (*Attempt, bool) {
	call, ok := ctx.Value(attemptKey{}).(*Attempt)
	return call, ok
}

// decodeWith decodes an evaluated `with` into the value that in points to.
func decodeWith(with json.RawMessage, in any) error {
	if len(with) == 0 {
		with = json.RawMessage("{}")
	}
	var fields map[string]any
	if err := jsonvalue.NewDecoder(with).Decode(&fields); err != nil {
		return &FieldError{Msg: "with is not a JSON object: " + err.Error()}
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
		return nil, WithKind(KindInvalidOutput,
			fmt.Errorf("output is %d bytes of JSON, at most %d are kept", len(raw), MaxOutput))
	}
	return raw, nil
}
