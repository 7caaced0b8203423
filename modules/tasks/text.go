package tasks

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// cutPartial removes an incomplete UTF-8 character from the end of s.
func cutPartial(s string) string { return s[:len(s)-incomplete(s)] }

// incomplete returns the number of bytes, 0 to 3, of an incomplete UTF-8 character at the end of s.
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

// sanitize replaces each run of invalid UTF-8 bytes by one question mark and removes NUL bytes. The result is never
// longer than s.
func sanitize(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "?"), "\x00", "")
}

// SanitizeText returns s in a form that both databases accept: valid UTF-8 without NUL, of at most limit bytes. A
// longer text is cut between two characters. The result then ends with a note of the total size, unless the note itself
// exceeds limit.
func SanitizeText(s string, limit int) string {
	s = sanitize(s)
	if len(s) <= limit {
		return s
	}
	note := fmt.Sprintf("… (%d bytes in all)", len(s))
	if len(note) > limit {
		note = ""
	}
	return cutPartial(s[:max(limit-len(note), 0)]) + note
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
