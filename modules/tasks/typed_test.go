package tasks

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

type common struct {
	Region string `json:"region"`
}

type pause time.Duration

func (p *pause) UnmarshalText(b []byte) error {
	d, err := time.ParseDuration(string(b))
	*p = pause(d)
	return err
}

type sample struct {
	common
	URL     string            `json:"url" sluice:"required"`
	Count   int               `json:"count"`
	Small   uint8             `json:"small"`
	Rate    float64           `json:"rate"`
	On      *bool             `json:"on"`
	Labels  map[string]string `json:"labels"`
	Codes   []int             `json:"codes"`
	Wait    pause             `json:"wait"`
	Any     any               `json:"any"`
	Targets []target          `json:"targets"`
	hidden  int
}

type target struct {
	Host string `json:"host" sluice:"required"`
	Port int    `json:"port"`
}

func sampleHandler() Handler {
	return NewHandler("sample", func(_ context.Context, in sample) (sample, error) {
		in.hidden++
		return in, nil
	})
}

func TestTypedCheckAccepts(t *testing.T) {
	for name, with := range map[string]map[string]any{
		"least":    {"url": "u"},
		"embedded": {"url": "u", "region": "eu"},
		"every type": {
			"url": "u", "count": 3, "small": 255, "rate": 1.5, "on": true, "codes": []any{1, 2},
			"wait": "1s", "any": []any{nil},
		},
		"expression scalar": {
			"url": "${{ input.u }}", "count": "${{ input.n }}", "on": "x${{ a }}",
			"wait": "${{ input.w }}",
		},
		"expression inside": {
			"url": "u", "codes": []any{1, "${{ input.c }}"},
			"labels": map[string]any{"a": "${{ b }}"},
		},
		"expression whole": {
			"url": "u", "labels": "${{ input.labels }}",
			"targets": []any{"${{ input.t }}", map[string]any{"host": "${{ h }}"}},
		},
		"null is absence": {"url": "u", "count": nil},
		"json.Number":     {"url": "u", "count": json.Number("12")},
	} {
		if err := sampleHandler().Check(with); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTypedCheckRefuses(t *testing.T) {
	for _, c := range []struct {
		name string
		with map[string]any
		want FieldError
	}{
		{"nothing", nil, FieldError{"url", "is missing", "it is required"}},
		{"null", map[string]any{"url": nil}, FieldError{"url", "is missing", "it is required"}},
		{"misspelt required", map[string]any{"ulr": "u"}, FieldError{"ulr", "unknown key", `did you mean "url"?`}},
		{"capitals", map[string]any{"URL": "u"}, FieldError{"URL", "unknown key", `did you mean "url"?`}},
		{"unlike any", map[string]any{"url": "u", "quite_another": 1}, FieldError{
			"quite_another", "unknown key",
			"known keys: any, codes, count, labels, on, rate, region, small, targets, url, wait",
		}},
		{"unexported", map[string]any{"url": "u", "hidden": 1}, FieldError{
			"hidden", "unknown key",
			"known keys: any, codes, count, labels, on, rate, region, small, targets, url, wait",
		}},
		{
			"text for number",
			map[string]any{"url": "u", "count": "3"},
			FieldError{"count", "is a string, expected a whole number", ""},
		},
		{
			"fraction",
			map[string]any{"url": "u", "count": 1.5},
			FieldError{"count", "is the number 1.5, expected a whole number", ""},
		},
		{
			"too large",
			map[string]any{"url": "u", "small": 256},
			FieldError{"small", "is the number 256, expected a whole number from 0", ""},
		},
		{"number for text", map[string]any{"url": 5}, FieldError{"url", "is a number, expected a string", ""}},
		{
			"mapping for list",
			map[string]any{"url": "u", "codes": map[string]any{}},
			FieldError{"codes", "is a mapping, expected a list", ""},
		},
		{
			"list for mapping",
			map[string]any{"url": "u", "labels": []any{1}},
			FieldError{"labels", "is a list, expected a mapping", ""},
		},
		{
			"text for flag",
			map[string]any{"url": "u", "on": "yes"},
			FieldError{"on", "is a string, expected true or false", ""},
		},
		{
			"flag for number",
			map[string]any{"url": "u", "rate": true},
			FieldError{"rate", "is true or false, expected a number", ""},
		},
		{
			"in a map",
			map[string]any{"url": "u", "labels": map[string]any{"a": 1}},
			FieldError{"labels", "is a number, expected a string", ""},
		},
		{
			"own type",
			map[string]any{"url": "u", "wait": "soon"},
			FieldError{"wait", `time: invalid duration "soon"`, ""},
		},
		{
			"inner unknown",
			map[string]any{"url": "u", "targets": []any{map[string]any{"host": "h", "prot": 1}}},
			FieldError{
				"targets[0].prot", "unknown key", `did you mean "port"?`,
			},
		},
		{
			"inner missing",
			map[string]any{"url": "u", "targets": []any{map[string]any{"port": 1}}},
			FieldError{"targets[0].host", "is missing", "it is required"},
		},
		{
			"inner type",
			map[string]any{"url": "u", "targets": []any{map[string]any{"host": "h", "port": "x"}}},
			FieldError{
				"targets.port", "is a string, expected a whole number", "",
			},
		},
		{
			"no JSON",
			map[string]any{"url": "u", "rate": math.NaN()},
			FieldError{"rate", "json: unsupported value: NaN", ""},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := sampleHandler().Check(c.with)
			var got *FieldError
			if !errors.As(err, &got) {
				t.Fatalf("got %v, want a *FieldError", err)
			}
			if diff := cmp.Diff(c.want, *got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestTypedRunDecodesStrictly(t *testing.T) {
	for _, c := range []struct{ with, want string }{
		{`{"url":"u","nope":1}`, "with.nope: unknown key"},
		{`{"URL":"u"}`, "with.URL: unknown key"},
		{`{"url":"u","count":"${{ literal }}"}`, "with.count: is a string, expected a whole number"},
		{`{}`, "with.url: is missing"},
		{``, "with.url: is missing"},
		{`[1]`, "with is not a JSON object"},
		{`{"url":`, "with is not a JSON object"},
	} {
		_, err := sampleHandler().Run(t.Context(), &Attempt{With: json.RawMessage(c.with)})
		var kinded *HandlerError
		if !errors.As(err, &kinded) || kinded.Kind != KindPermanent || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want a permanent error with %q", c.with, err, c.want)
		}
	}
}

func TestTypedKeepsLargeNumbers(t *testing.T) {
	h := NewHandler("echo", func(_ context.Context, in map[string]any) (map[string]any, error) { return in, nil })
	const doc = `{"a":9007199254740993,"b":{"c":[18446744073709551615]},"d":"<&>"}`
	got, err := h.Run(t.Context(), &Attempt{With: json.RawMessage(doc)})
	if err != nil || string(got) != doc {
		t.Errorf("got %s, %v, want %s", got, err, doc)
	}
}

func TestTypedNothingInNothingOut(t *testing.T) {
	called := 0
	h := NewHandler("nothing", func(context.Context, struct{}) (struct{}, error) {
		called++
		return struct{}{}, nil
	})
	if err := h.Check(nil); err != nil {
		t.Error(err)
	}
	out, err := h.Run(t.Context(), &Attempt{})
	if out != nil || err != nil || called != 1 {
		t.Errorf("got %s, %v after %d calls, want no output of one call", out, err, called)
	}
	var field *FieldError
	if err := h.Check(map[string]any{"a": 1}); !errors.As(err, &field) || field.Hint != "it takes no keys" {
		t.Errorf("a key for a handler that takes none: got %v", err)
	}
}

func TestTypedOutput(t *testing.T) {
	large := strings.Repeat("x", MaxOutput)
	for _, c := range []struct {
		name string
		out  any
		want string
		kind ErrorKind
	}{
		{"nil", nil, "", ""},
		{"nil pointer", (*target)(nil), "", ""},
		{"nil document", json.RawMessage(nil), "", ""},
		{"document", json.RawMessage(`{"a": [1]}`), `{"a":[1]}`, ""},
		{"zero is a value", 0, "0", ""},
		{"largest", large[:MaxOutput-2], `"` + large[:MaxOutput-2] + `"`, ""},
		{"too large", large[:MaxOutput-1], "", KindInvalidOutput},
		{"no JSON", make(chan int), "", KindInvalidOutput},
		{"broken document", json.RawMessage(`{"a":`), "", KindInvalidOutput},
	} {
		h := NewHandler("out", func(context.Context, struct{}) (any, error) { return c.out, nil })
		got, err := h.Run(t.Context(), &Attempt{})
		if string(got) != c.want || kindOf(err) != c.kind {
			t.Errorf("%s: got %.40s, %v, want %.40s and kind %q", c.name, got, err, c.want, c.kind)
		}
	}
}

func TestTypedPassesCallAndError(t *testing.T) {
	refused := errors.New("refused")
	var seen *Attempt
	h := NewHandler("call", func(ctx context.Context, _ struct{}) (int, error) {
		seen, _ = AttemptFrom(ctx)
		return 1, refused
	})
	call := &Attempt{Number: 3}
	out, err := h.Run(t.Context(), call)
	if seen != call || out != nil || !errors.Is(err, refused) {
		t.Errorf("got call %v, output %s, error %v", seen, out, err)
	}
	if call, ok := AttemptFrom(t.Context()); ok || call != nil {
		t.Errorf("a context outside any attempt holds %v", call)
	}
}

func kindOf(err error) ErrorKind {
	var kinded *HandlerError
	if errors.As(err, &kinded) {
		return kinded.Kind
	}
	return ""
}
