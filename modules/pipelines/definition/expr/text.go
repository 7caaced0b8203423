// Package expr is the language of expressions: it parses, compiles and evaluates what stands in ${{ }}, and the texts
// that contain it. It knows no pipelines: a Scope says which names an expression may use, and Values what they are.
// Every evaluation is bounded in time and memory, because whoever writes a pipeline must not stop the engine.
package expr

import "strings"

// Part is a literal piece of a text, or the source of an expression.
type Part struct {
	Literal      string
	Source       string
	IsExpression bool
	Offset       int // bytes from the start of the text to Source
}

// Mistake is a mistake in an expression or in a text.
type Mistake struct {
	Offset  int // bytes from the start of what was read to the mistake
	Message string
	Hint    string // how to correct it; may be empty
}

const (
	open    = "${{"
	escaped = "$${{" // a literal ${{
)

// IsTemplate reports whether a text must be split. It is also true if the text only contains an escaped ${{.
func IsTemplate(s string) bool { return strings.Contains(s, open) }

// Split splits a text into literals and expressions. It does not check the expressions.
func Split(s string) ([]Part, *Mistake) {
	var parts []Part
	var literal strings.Builder
	flush := func() {
		if literal.Len() > 0 {
			parts = append(parts, Part{Literal: literal.String()})
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
			return nil, &Mistake{i + n, "${{ is never closed by }}", "write " + escaped + " for a literal " + open}
		}
		if strings.TrimSpace(s[start:start+length]) == "" {
			return nil, &Mistake{i + n, "the expression is empty", ""}
		}
		parts = append(parts, Part{Source: s[start : start+length], IsExpression: true, Offset: start})
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
