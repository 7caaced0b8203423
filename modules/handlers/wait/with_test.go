package wait_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sluiceworks/sluice/modules/handlers/wait"
	"github.com/sluiceworks/sluice/modules/tasks"
)

// TestCheck checks that mistakes are found at registration, and at run time if only the value of an expression shows
// them.
func TestCheck(t *testing.T) {
	t.Parallel()
	w := wait.NewWait()
	t.Cleanup(w.Close)
	handlers := map[string]tasks.Handler{"sleep": wait.NewSleep(), "wait": w}
	for _, c := range []struct{ handler, with, want string }{
		{"sleep", `{}`, "expected one of duration and until"},
		{"sleep", `{"duration": "1s", "until": "2027-01-31T09:00:00Z"}`, "expected one of duration and until"},
		{"sleep", `{"duration": 30}`, "with.duration: is 30, expected a duration such as 30s"},
		{"sleep", `{"duration": "-1s"}`, `with.duration: "-1s" is negative`},
		{
			"sleep", `{"duration": "soon"}`,
			`with.duration: "soon" is not a duration: expected one such as 30s, 1h30m or 2d`,
		},
		{"sleep", `{"until": "2027-01-31"}`, `with.until: is "2027-01-31", expected an instant with its zone`},
		{"sleep", `{"until": 3}`, "with.until: is 3, expected an instant"},
		{"sleep", `{"durations": "1s"}`, "with.durations: unknown key"},
		{"wait", `{}`, "expected one of file and url"},
		{"wait", `{"file": "a", "url": "http://x"}`, "expected one of file and url"},
		{"wait", `{"url": "ftp://x"}`, "with.url: does not start with http:// or https://"},
		{"wait", `{"url": "http://"}`, "with.url: names no host"},
		{"wait", `{"url": "http://me:secret@x:port"}`, "with.url: is not a URL"},
		{"wait", `{"url": 3}`, "with.url: is a number, expected a string"},
		{"wait", `{"url": "http://x", "expect_status": 99}`, "with.expect_status: 99 is not a status from 200 to 599"},
		{
			"wait", `{"url": "http://x", "expect_status": []}`,
			"with.expect_status: is [], expected a status such as 200 or a list of them",
		},
		{"wait", `{"url": "http://x", "expect_status": "ok"}`, "with.expect_status: is \"ok\", expected a status"},
		{"wait", `{"url": "http://x", "timeout": "0"}`, "with.timeout: must be more than 0"},
		{"wait", `{"file": "a", "every": "1ms"}`, "with.every: is shorter than 100ms"},
		{"wait", `{"file": "a", "for": "0s"}`, "with.for: must be more than 0"},
	} {
		var with map[string]any
		if err := json.Unmarshal([]byte(c.with), &with); err != nil {
			t.Fatal(err)
		}
		h := handlers[c.handler]
		err := h.Check(with)
		var mistake *tasks.FieldError
		if !errors.As(err, &mistake) || !strings.Contains(err.Error(), c.want) ||
			strings.Contains(err.Error(), "secret") {
			t.Errorf("%s %s: %v, want %q", c.handler, c.with, err, c.want)
		}
		_, err = h.Run(t.Context(), &tasks.Attempt{With: json.RawMessage(c.with), Now: time.Now, FirstStarted: now})
		var kinded *tasks.HandlerError
		if !errors.As(err, &kinded) || kinded.Kind != tasks.KindPermanent || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s when run: %v, want %q", c.handler, c.with, err, c.want)
		}
	}
	for with, want := range map[string]string{
		`{"file": "a", "expect_status": 200}`: "with.expect_status: is for a url",
		`{"file": "a", "timeout": "1s"}`:      "with.timeout: is for a url",
	} {
		var fields map[string]any
		if err := json.Unmarshal([]byte(with), &fields); err != nil {
			t.Fatal(err)
		}
		if err := w.Check(fields); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", with, err, want)
		}
	}
}

func now(context.Context) (time.Time, error) { return time.Now(), nil }

// TestCheckLeavesExpressions checks that a definition is not rejected for values that are not known yet, and that a
// null value is rejected once it is known.
func TestCheckLeavesExpressions(t *testing.T) {
	t.Parallel()
	w := wait.NewWait()
	t.Cleanup(w.Close)
	const later = "${{ input.later }}"
	if err := wait.NewSleep().Check(map[string]any{"duration": later}); err != nil {
		t.Error(err)
	}
	with := map[string]any{
		"url": later, "every": later, "for": later, "timeout": later,
		"expect_status": []any{200, later},
	}
	if err := w.Check(with); err != nil {
		t.Error(err)
	}
	_, err := w.Run(t.Context(),
		&tasks.Attempt{
			With: json.RawMessage(`{"url": "http://127.0.0.1:1", "expect_status": [200, null]}`),
			Now:  time.Now, FirstStarted: now,
		})
	if err == nil || !strings.Contains(err.Error(), "with.expect_status: an entry is null or 0") {
		t.Errorf("null: %v", err)
	}
}
