package shell

import "testing"

// TestDocument: an output is nothing or one JSON value, with a byte order mark and ends of line of any kind around it.
func TestDocument(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"": "", " \r\n\t": "", "\ufeff": "", "\ufeff{\"a\": 1.10}\r\n": `{"a": 1.10}`, "{\r\n\"a\": 12345678901234567890}\r\n": "{\r\n\"a\": 12345678901234567890}",
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
}
