package terminal

import (
	"bytes"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Inline returns a text as one line for people. Characters that could move the cursor, hide text or reorder it are
// written as escapes such as \n, \x1b or \u202e. It is used for cells of tables and for names within sentences. The
// output of Paint is kept.
func Inline(s string) string {
	if plain(s, false) {
		return s
	}
	var out []byte
	p := []byte(s)
	for {
		at := bytes.Index(p, mark)
		if at < 0 {
			return string(appendEscaped(out, p, false))
		}
		out = append(appendEscaped(out, p[:at], false), mark...)
		p = p[at+len(mark):]
	}
}

// plain reports whether a text is printable ASCII, so that it needs no escapes. lines allows newlines and tabs.
func plain[T string | []byte](s T, lines bool) bool {
	for i := range len(s) {
		if c := s[i]; (c < ' ' || c >= 0x7f) && (!lines || c != '\n' && c != '\t') {
			return false
		}
	}
	return true
}

// appendEscaped appends text to out with escapes. lines keeps newlines and tabs, and drops a carriage return before a
// newline.
func appendEscaped(out, text []byte, lines bool) []byte {
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		raw := text[i : i+size]
		switch {
		case lines && (r == '\n' || r == '\t'):
			out = append(out, raw...)
		case lines && r == '\r' && i+1 < len(text) && text[i+1] == '\n':
		case r == utf8.RuneError && size == 1:
			out = fmt.Appendf(out, `\x%02x`, raw[0])
		case hidden(r) && !joins(text, i, size):
			out = appendRune(out, r)
		default:
			out = append(out, raw...)
		}
		i += size
	}
	return out
}

func appendRune(out []byte, r rune) []byte {
	switch {
	case r == '\n':
		return append(out, `\n`...)
	case r == '\r':
		return append(out, `\r`...)
	case r == '\t':
		return append(out, `\t`...)
	case r < 0x80:
		return fmt.Appendf(out, `\x%02x`, r)
	case r > 0xffff:
		return fmt.Appendf(out, `\U%08x`, r)
	}
	return fmt.Appendf(out, `\u%04x`, r)
}

// hidden reports whether a terminal interprets a character or does not show it: control characters (C0, C1),
// characters that change the direction of text, characters without width, and line separators.
func hidden(r rune) bool {
	if r < 0x7f {
		return r < ' '
	}
	switch r {
	case 0x115f, 0x1160, 0x3164, 0xffa0, 0x034f, 0x2800: // fillers: blank, although their class is letter
		return true
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp)
}

// joins reports whether the character at i is a joiner or a non-joiner between two characters of a script that uses
// them, or within an emoji. Beside ASCII, or at an end of the text, it could only hide something.
func joins(text []byte, i, size int) bool {
	if r, _ := utf8.DecodeRune(text[i:]); r != 0x200c && r != 0x200d {
		return false
	}
	before, _ := utf8.DecodeLastRune(text[:i])
	after, _ := utf8.DecodeRune(text[i+size:])
	shows := func(r rune) bool { return r > 0x7f && r != utf8.RuneError && !hidden(r) }
	return shows(before) && shows(after)
}

// JSON writes the hidden characters of an encoded JSON document as \u escapes. That does not change its meaning,
// because they occur only in strings. White space between values is kept.
func JSON(doc []byte) []byte {
	if plain(doc, true) {
		return doc
	}
	var out strings.Builder
	out.Grow(len(doc) + len(doc)/8)
	for i := 0; i < len(doc); {
		r, size := utf8.DecodeRune(doc[i:])
		switch {
		case r < ' ', r == utf8.RuneError && size == 1, !hidden(r):
			out.Write(doc[i : i+size])
		case r > 0xffff:
			r -= 0x10000
			fmt.Fprintf(&out, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		default:
			fmt.Fprintf(&out, `\u%04x`, r)
		}
		i += size
	}
	return []byte(out.String())
}
