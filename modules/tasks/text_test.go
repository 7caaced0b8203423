package tasks

import (
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestCleanText(t *testing.T) {
	for _, c := range []struct {
		in    string
		limit int
		want  string
	}{
		{"plain", 5, "plain"},
		{"", 0, ""},
		{"a\x00b\xffc\xfe\xfd", 100, "ab?c?"},
		{"a\xff", 1, "a"},
		{strings.Repeat("é", 40), 40, strings.Repeat("é", 9) + "… (80 bytes in all)"},
		{"🙂🙂", 7, "🙂"},
		{"🙂", 3, ""},
	} {
		if got := SanitizeText(c.in, c.limit); got != c.want {
			t.Errorf("CleanText(%q, %d) = %q, want %q", c.in, c.limit, got, c.want)
		}
	}
}

func TestCleanTextHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := string(rapid.SliceOf(rapid.Byte()).Draw(t, "text"))
		limit := rapid.IntRange(0, 64).Draw(t, "limit")
		got := SanitizeText(s, limit)
		if len(got) > limit || !utf8.ValidString(got) || strings.Contains(got, "\x00") {
			t.Fatalf("CleanText(%q, %d) = %q", s, limit, got)
		}
		if again := SanitizeText(got, limit); again != got {
			t.Fatalf("cleaning twice changed %q to %q", got, again)
		}
	})
}

func TestErrorLine(t *testing.T) {
	for in, want := range map[string]string{
		"":                                    "",
		"one":                                 "one",
		" first\n\nlast \n\n":                 "last",
		"exit code 22:\r\ncurl: (22) 404\r\n": "curl: (22) 404",
		"panic: boom\ngoroutine 7 [running]:\nmain.f()\n\t/x.go:3":                "panic: boom",
		"task a failed: panic: boom\ngoroutine 7 [running]:\nmain.f()\n\t/x.go:3": "task a failed: panic: boom",
	} {
		if got := ErrorLine(in); got != want {
			t.Errorf("ErrorLine(%q) = %q, want %q", in, got, want)
		}
	}
}
