package terminal

import (
	"bytes"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Inline returns a text as one line for people: whatever could move the cursor, hide, or reorder what stands beside it is written as
// an escape such as \n, \x1b or \u202e. It is what a table's cell, or a name within a sentence, goes through. What Paint has made is
// kept as it is.
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

// plain tells whether a text is printable ASCII, and so needs no second look.
func plain[T string | []byte](s T, lines bool) bool {
	for i := range len(s) {
		if c := s[i]; (c < ' ' || c >= 0x7f) && (!lines || c != '\n' && c != '\t') {
			return false
		}
	}
	return true
}

// appendEscaped appends text to out. lines keeps newlines and tabs; a carriage return before a newline is then left out.
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

// hidden tells whether a character is one that a terminal obeys, or shows nothing of: control characters (C0, C1), those that change
// the direction of the text, those of no width, and separators of lines.
func hidden(r rune) bool {
	if r < 0x7f {
		return r < ' '
	}
	switch r {
	case 0x115f, 0x1160, 0x3164, 0xffa0, 0x034f, 0x2800: // fillers: blank, though letters by their class
		return true
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp)
}

// joins tells whether the character at i is a joiner or a non-joiner between two characters of a script that uses them, or within an
// emoji. Beside ASCII, or at an end of the text, it only hides.
func joins(text []byte, i, size int) bool {
	if r, _ := utf8.DecodeRune(text[i:]); r != 0x200c && r != 0x200d {
		return false
	}
	before, _ := utf8.DecodeLastRune(text[:i])
	after, _ := utf8.DecodeRune(text[i+size:])
	shows := func(r rune) bool { return r > 0x7f && r != utf8.RuneError && !hidden(r) }
	return shows(before) && shows(after)
}

// JSON writes the hidden characters of an encoded JSON document as \u escapes, which changes nothing of what it says: there they
// stand in strings alone. White space between values is kept.
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
