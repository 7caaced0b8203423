package tasks

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// cutBroken drops a character at the end of s whose rest is missing.
func cutBroken(s string) string { return s[:len(s)-incomplete(s)] }

// incomplete is the number of bytes at the end of s that begin a character whose rest is missing, from 0 to 3.
func incomplete[T string | []byte](s T) int {
	for i := 1; i < utf8.UTFMax && i <= len(s); i++ {
		if utf8.RuneStart(s[len(s)-i]) {
			if !utf8.FullRuneInString(string(s[len(s)-i:])) {
				return i
			}
			break
		}
	}
	return 0
}

// sanitize never makes a text longer: a run of bytes that are not UTF-8 becomes one question mark, a NUL nothing.
func sanitize(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "?"), "\x00", "")
}

// SanitizeText makes a text that both databases take: valid UTF-8, no NUL, at most limit bytes, cut between two
// characters with a note of how much is missing (without the note where limit leaves no room for it).
func SanitizeText(s string, limit int) string {
	s = sanitize(s)
	if len(s) <= limit {
		return s
	}
	note := fmt.Sprintf("… (%d bytes in all)", len(s))
	if len(note) > limit {
		note = ""
	}
	return cutBroken(s[:max(limit-len(note), 0)]) + note
}

// ErrorLine returns the most informative line of an error's text. It is the last line that is not blank, because
// programs usually report the cause last. For a panic it is the first line, before the stack.
func ErrorLine(s string) string {
	s = strings.TrimSpace(strings.ReplaceAll(s, "\r\n", "\n"))
	first, _, _ := strings.Cut(s, "\n")
	if strings.HasPrefix(first, "panic: ") || strings.Contains(first, ": panic: ") {
		return strings.TrimSpace(first)
	}
	return strings.TrimSpace(s[strings.LastIndexByte(s, '\n')+1:])
}
