package suggest_test

import (
	"strings"
	"testing"

	"github.com/sluiceworks/sluice/platform/suggest"
)

func TestNearest(t *testing.T) {
	known := []string{"timeout", "retry", "url", "run", "größe", "max_attempts"}
	for name, want := range map[string]string{
		"timeuot":                     "timeout", // a swap is one edit
		"ulr":                         "url",
		"URL":                         "url",
		"ru":                          "run",
		"retrys":                      "retry", // 1 of 6 letters
		"rtr":                         "",      // 2 of 5 letters
		"größen":                      "größe", // letters, not bytes
		"grosze":                      "",
		"attempts":                    "max_attempts", // 4 of 12 letters
		"tempts":                      "",
		"":                            "",
		"x":                           "",
		"something":                   "",
		"time-out-of-x":               "",
		strings.Repeat("timeout", 20): "",
	} {
		if got := suggest.Nearest(name, known); got != want {
			t.Errorf("%q: got %q, want %q", name, got, want)
		}
	}
	if got := suggest.Nearest("abcdef", []string{"abcdxx", "abcdxf", "abcdyf"}); got != "abcdxf" {
		t.Errorf("of several near names, got %q", got)
	}
}

func TestHint(t *testing.T) {
	for _, tt := range []struct {
		name  string
		known []string
		want  string
	}{
		{"rnu", []string{"uses", "run"}, `did you mean "run"?`},
		{"image", []string{"uses", "run"}, "known: uses, run"},
		{"image", nil, ""},
		{"image", strings.Fields(strings.Repeat("run ", 31)), ""},
	} {
		if got := suggest.Hint(tt.name, tt.known); got != tt.want {
			t.Errorf("%s among %v: got %q, want %q", tt.name, tt.known, got, tt.want)
		}
	}
}
