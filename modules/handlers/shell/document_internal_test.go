package shell

import (
	"strings"
	"testing"
)

// TestDocument checks that an output is empty or one JSON value, with an optional byte order mark and any line
// endings.
func TestDocument(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"": "", " \r\n\t": "", "\ufeff": "", "\ufeff{\"a\": 1.10}\r\n": `{"a": 1.10}`,
		"{\r\n\"a\": 12345678901234567890}\r\n": "{\r\n\"a\": 12345678901234567890}",
	} {
		got, err := document([]byte(raw))
		if err != nil || string(got) != want {
			t.Errorf("%q: %q, %v", raw, got, err)
		}
	}
	for _, raw := range []string{"{} {}", "{}\n{}", "1 x", "{}\ufeff", "\ufeff\ufeff{}"} {
		if got, err := document([]byte(raw)); err == nil {
			t.Errorf("%q: %q, expected an error", raw, got)
		}
	}
	for raw, place := range map[string]string{
		"{\n  \"a\": 1,\n}\n":               "line 3, column 1",
		`{"a": {"b": [1, "\ud800"]}}`:       "line 1, column 18, at a.b[1]",
		"{\"a\": \"x\",\n \"b\": \"\xff\"}": "line 2, column 8, at b",
		`[1, 1e1001]`:                       "line 1, column 5, at [1]",
	} {
		if _, err := document([]byte(raw)); err == nil || !strings.Contains(err.Error(), place+": ") {
			t.Errorf("%q: %v, expected the place %s", raw, err, place)
		}
	}
}
