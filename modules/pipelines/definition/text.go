package definition

import "strings"

// part is a literal piece of a text, or the source of an expression, which begins offset bytes into the text.
type part struct {
	literal    string
	source     string
	expression bool
	offset     int
}

// textError is a mistake in a text, offset bytes into it.
type textError struct {
	offset    int
	msg, hint string
}

const (
	open    = "${{"
	escaped = "$${{" // a literal ${{
)

// hasExpressions reports whether a text must be split. It is also true if the text only contains an escaped ${{.
func hasExpressions(s string) bool { return strings.Contains(s, open) }

// split splits a text into literals and expressions.
func split(s string) ([]part, *textError) {
	var parts []part
	var literal strings.Builder
	flush := func() {
		if literal.Len() > 0 {
			parts = append(parts, part{literal: literal.String()})
		}
		literal.Reset()
	}
	for i := 0; i < len(s); {
		n := strings.Index(s[i:], open)
		if n < 0 {
			literal.WriteString(s[i:])
			break
		}
		if n > 0 && s[i+n-1] == '$' {
			literal.WriteString(s[i : i+n-1])
			literal.WriteString(open)
			i += n + len(open)
			continue
		}
		literal.WriteString(s[i : i+n])
		flush()
		start := i + n + len(open)
		length := expressionEnd(s[start:])
		if length < 0 {
			return nil, &textError{i + n, "${{ is never closed by }}", "write " + escaped + " for a literal " + open}
		}
		if strings.TrimSpace(s[start:start+length]) == "" {
			return nil, &textError{i + n, "the expression is empty", ""}
		}
		parts = append(parts, part{source: s[start : start+length], expression: true, offset: start})
		i = start + length + len("}}")
	}
	flush()
	return parts, nil
}

// expressionEnd returns the offset of the }} that ends an expression, or -1. It skips those in strings and maps.
func expressionEnd(s string) int {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '\'', '"', '`':
			n := literalEnd(s[i:])
			if n < 0 {
				return -1
			}
			i += n
		case '{':
			depth++
		case '}':
			if depth > 0 {
				depth--
			} else if strings.HasPrefix(s[i:], "}}") {
				return i
			}
		}
	}
	return -1
}

func literalEnd(s string) int {
	for i := 1; i < len(s); i++ {
		if s[i] == '\\' && s[0] != '`' {
			i++
		} else if s[i] == s[0] {
			return i
		}
	}
	return -1
}
