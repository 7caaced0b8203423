package shellquote

import "strings"

// command reads text outside of all quotes.
func (s *Reader) command(text string, last bool) int {
	f, start := s.top(), s.wordStart()
	before := s.previous
	s.previous = text[0]
	switch c := text[0]; {
	case c == '\'':
		if before == '$' {
			s.lost = "after $'" // its end depends on the shell
		}
		s.push(frame{region: singleQuotes})
	case c == '"':
		s.push(frame{region: doubleQuotes})
	case c == '#' && start:
		s.push(frame{region: comment})
	case c == '<' && strings.HasPrefix(text, "<<"):
		return s.redirection(text, last)
	case c == '(' && f.brackets > 0:
		f.brackets++
	case c == ')' && f.brackets > 0:
		s.closeBracket()
	case c == '\n':
		s.beginDocument()
	case c == 'c' && start && f.brackets > 0 && isWord(text, "case"):
		s.lost = "after case in $( )" // where a ) need not close anything
	default:
		return s.expansion(text)
	}
	return 1
}

func (s *Reader) closeBracket() {
	f := s.top()
	if f.brackets--; f.brackets > 0 {
		return
	}
	if len(f.pending) > 0 {
		s.lost = "after a $( ) that ends before its here-document"
	}
	s.pop()
}

// wordStart reports whether a word would begin at the current position.
func (s *Reader) wordStart() bool {
	return s.previous == 0 || strings.IndexByte(" \t\n;&|()<>", s.previous) >= 0
}

func isWord(text, word string) bool {
	rest, ok := strings.CutPrefix(text, word)
	return ok && (rest == "" || strings.IndexByte(" \t\n", rest[0]) >= 0)
}

// redirection reads << and the word after it, which ends a here-document, or <<<, which begins no document.
func (s *Reader) redirection(text string, last bool) int {
	if strings.HasPrefix(text, "<<<") {
		return 3
	}
	i := 2
	var d document
	if i < len(text) && text[i] == '-' {
		d.tabs = true
		i++
	}
	for i < len(text) && (text[i] == ' ' || text[i] == '\t') {
		i++
	}
	var end strings.Builder
	for i < len(text) && strings.IndexByte(" \t\n;&|()<>", text[i]) < 0 {
		i += d.endCharacter(text[i:], &end)
	}
	if i >= len(text) && !last {
		s.lost = "in the word that ends a here-document"
	}
	d.end = end.String()
	s.previous = 'x'
	s.top().pending = append(s.top().pending, d)
	return i
}

// endCharacter adds the next character, or a quoted string, to the word that ends a document. It returns the number
// of bytes read.
func (d *document) endCharacter(text string, end *strings.Builder) int {
	switch c := text[0]; c {
	case '\\':
		d.quoted = true
		end.WriteString(text[1:min(2, len(text))])
		return min(2, len(text))
	case '\'', '"':
		d.quoted = true
		inner, _, found := strings.Cut(text[1:], string(c))
		end.WriteString(inner)
		if !found {
			return len(text)
		}
		return len(inner) + 2
	default:
		end.WriteByte(c)
		return 1
	}
}

// beginDocument opens the next here-document of the line that has just ended.
func (s *Reader) beginDocument() {
	f := s.top()
	if len(f.pending) == 0 {
		return
	}
	next := f.pending[0]
	f.pending = f.pending[1:]
	s.push(frame{region: hereDocument, document: next})
	s.lineStart = true
}

// documentEnd reports whether the line that begins here ends the document, and the number of bytes read.
func (s *Reader) documentEnd(text string, last bool) (int, bool) {
	d := s.top().document
	line, _, more := strings.Cut(text, "\n")
	n := len(line)
	if d.tabs {
		line = strings.TrimLeft(line, "\t")
	}
	if line != d.end || !more && !last {
		return 0, false
	}
	s.pop()
	if more {
		n++
	}
	s.previous = '\n'
	s.beginDocument()
	return max(n, 1), true
}
