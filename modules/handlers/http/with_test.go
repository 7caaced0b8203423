package http

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/sluiceworks/sluice/modules/tasks"
)

func TestCheckAccepts(t *testing.T) {
	for name, with := range map[string]map[string]any{
		"least": {"url": "https://example.com/a?b=c"},
		"all": {
			"url": "http://[::1]:80", "method": "get", "headers": map[string]any{"A": "b", "n": 1, "t": true},
			"body": []any{1}, "timeout": "1m30s",
			"expect_status": []any{200, 304}, "save_as": "a/b.csv", "max_bytes": 1,
		},
		"expressions": {
			"url": "${{ input.base }}/x", "method": "${{ input.m }}",
			"headers": map[string]any{"Authorization": "Bearer ${{ input.t }}"},
			"timeout": "${{ input.s }}s", "expect_status": []any{"${{ input.code }}"},
			"save_as": "${{ input.day }}.csv", "max_bytes": "${{ input.n }}",
		},
		"absent": {"url": "http://a", "headers": nil, "save_as": nil, "max_bytes": nil},
	} {
		if err := New().Check(with); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// mistakes are refused at registration, and at run time if an expression yields them.
var mistakes = []struct {
	field string
	value any
	says  string
}{
	{"url", "", "does not start with http"},
	{"url", "example.com", "does not start with http"},
	{"url", "ftp://example.com", "does not start with http"},
	{"url", "file:///etc/passwd", "does not start with http"},
	{"url", "http://", "names no host"},
	{"url", "http://:80", "names no host"},
	{"url", "http://a b", "is not a URL"},
	{"url", "http://a\nb", "is not a URL"},
	{"url", 5, "expected a string"},
	{"method", "GET /", "may not hold ' '"},
	{"method", "GÉT", "may not hold"},
	{"headers", map[string]any{"a b": "c"}, "may not hold"},
	{"headers", map[string]any{"": "c"}, "has no name"},
	{"headers", map[string]any{"a": "b\r\nInjected: c"}, "holds a control character"},
	{"headers", map[string]any{"a": []any{"b"}}, "neither text nor a number"},
	{"headers", map[string]any{"content-length": 3}, "cannot be set"},
	{"headers", "a: b", "expected a mapping"},
	{"timeout", "soon", "expected more than 0"},
	{"timeout", "0s", "expected more than 0"},
	{"timeout", "-1s", "expected more than 0"},
	{"timeout", 30, "expected a string"},
	{"expect_status", []any{20}, "not a status"},
	{"expect_status", 200, "expected a list"},
	{"save_as", "/", "is not the path of a file below"},
	{"save_as", "../x", "is not the path of a file below"},
	{"save_as", "a/../../x", "is not the path of a file below"},
	{"save_as", ".", "is not the path of a file below"},
	{"save_as", "dir/", "is not the path of a file below"},
	{"save_as", "a\x00b", "is not the path of a file below"},
	{"max_bytes", -1, "invalid size"},
	{"max_bytes", int64(1) << 51, "invalid size"},
	{"max_bytes", 1.5, "expected a whole number"},
	{"retries", 3, "unknown key"},
}

func TestMistakes(t *testing.T) {
	for _, m := range mistakes {
		with := map[string]any{"url": "http://127.0.0.1:1"}
		with[m.field] = m.value
		var field *tasks.FieldError
		if err := New().Check(with); !errors.As(err, &field) || field.Field != m.field ||
			!strings.Contains(field.Msg, m.says) {
			t.Errorf("check %s %q: got %v, want %q", m.field, m.value, err, m.says)
		}
		raw, err := json.Marshal(with)
		if err != nil {
			t.Fatal(err)
		}
		_, err = do(t.Context(), New(), string(raw))
		wants(t, err, tasks.KindPermanent, m.says)
		if !errors.As(err, &field) || field.Field != m.field {
			t.Errorf("run %s %q: got %v", m.field, m.value, err)
		}
	}
}

func TestURLErrorHidesPassword(t *testing.T) {
	err := New().Check(map[string]any{"url": "http://me:hidden@exa mple/%zz"})
	if err == nil || strings.Contains(err.Error(), "hidden") {
		t.Errorf("got %v", err)
	}
}
