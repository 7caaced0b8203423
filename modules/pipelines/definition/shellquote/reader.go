// Package shellquote determines how a ${{ }} in a shell script is written as a shell parameter, so that its value stays
// data: it is neither split into words nor run.
//
// It tracks the quoting with a small reader of its own and not with the parser of mvdan.cc/sh/v3/syntax, because a
// parser is not as exact here. It refuses a whole script for a construct of another shell than its own dialect, where
// the reader only needs the quotes; it does not say where a value may stand in a script that it cannot parse; and it
// accepts positions whose quoting depends on the shell, such as after $'…', which the reader refuses. The search for
// text that is parsed again (Reparsed) does use that parser, because there it only warns.
package shellquote

import "strings"

// Position is the kind of a position in a script at which a parameter may stand.
type Position int

// The positions.
const (
	Unquoted  Position = iota // between words, where the parameter needs double quotes of its own
	Quoted                    // where double quotes or a here-document already keep the value together
	InComment                 // in a comment, where nothing is evaluated
)

// Parameter returns the expansion of a parameter at the position.
func (p Position) Parameter(name string) string {
	if p == Unquoted {
		return `"${` + name + `}"`
	}
	return "${" + name + "}"
}

// region is a kind of shell text with its own quoting rules.
type region int

const (
	command      region = iota // the text itself and $( )
	doubleQuotes               // " "
	singleQuotes               // ' '
	backquotes                 // ` `
	parameter                  // ${ }
	arithmetic                 // $(( ))
	hereDocument               // the lines after <<
	comment                    // # to the end of the line
)

// frame is an open region.
type frame struct {
	region   region
	brackets int  // open parentheses of a $( ) or $(( )), including its own; 0 for the text itself
	literal  bool // parameter: within double quotes, where ' is literal
	document document
	pending  []document // command: here-documents that begin after this line
}

// document is a here-document.
type document struct {
	end    string // the line that ends it
	tabs   bool   // <<-: leading tabs of that line are ignored
	quoted bool   // nothing is expanded in it
}

// Refusal is the reason why a value cannot be inserted at a position.
type Refusal struct {
	Message string
	Hint    string // how to write it instead
}

// Reader tracks the quoting of a shell text as far as it determines how a parameter must be written. It need not
// be a complete shell parser, because values never become text of the command. At a position that it misjudges, a
// value can be split into words but not run. Where it is not certain, it refuses instead of guessing.
type Reader struct {
	frames    []frame
	previous  byte   // the previous character within a command; 0 at its start
	escaped   bool   // the text ended in a backslash
	lineStart bool   // here-document: at the start of a line
	lost      string // why the quoting is unknown from here on
}

// NewReader returns a reader at the start of a script.
func NewReader() *Reader { return &Reader{frames: []frame{{region: command}}} }

func (s *Reader) top() *frame { return &s.frames[len(s.frames)-1] }

func (s *Reader) push(f frame) {
	s.frames = append(s.frames, f)
	s.previous = 0
}

func (s *Reader) pop() {
	s.frames = s.frames[:len(s.frames)-1]
	s.previous = 'x' // what has ended is part of a word
}

const useEnv = `give it a name in env: and use "$NAME" there`

// Expression returns the kind of the current position, at which the script has a ${{ }}, or why none can stand there.
func (s *Reader) Expression() (Position, *Refusal) {
	refuse := func(where, hint string) (Position, *Refusal) {
		return 0, &Refusal{"${{ }} is not evaluated " + where, hint}
	}
	switch f := s.top(); {
	case f.region == comment:
		return InComment, nil
	case s.lost != "":
		return refuse(s.lost, useEnv)
	case s.escaped:
		return refuse("after a backslash", "write $${{ for a literal ${{")
	case f.region == command:
		s.previous = 'x'
		return Unquoted, nil
	case f.region == doubleQuotes, f.region == hereDocument && !f.document.quoted:
		s.lineStart = false
		return Quoted, nil
	case f.region == singleQuotes:
		return refuse("in single quotes", "use double quotes, or "+useEnv)
	case f.region == hereDocument:
		return refuse("in a here-document whose end is quoted", "take the quotes off its <<"+f.document.end)
	case f.region == backquotes:
		return refuse("in backquotes", "write $( ) for ` `")
	case f.region == parameter:
		return refuse("within ${ }", useEnv)
	}
	return refuse("in $(( ))", "calculate in the expression")
}

// Read reads a piece of the script between two ${{ }}. last means that nothing follows it.
func (s *Reader) Read(text string, last bool) {
	s.escaped = false
	for i := 0; i < len(text); {
		i += s.step(text[i:], last)
	}
}

// step reads the next part of the text and returns how many bytes it has read. It returns 0 when it only ends a
// comment.
func (s *Reader) step(text string, last bool) int {
	f := s.top()
	if f.region == hereDocument && s.lineStart {
		if n, ended := s.documentEnd(text, last); ended {
			return n
		}
	}
	if text[0] == '\\' && s.escapes(text) {
		s.lineStart = false
		s.escaped = len(text) == 1
		return min(2, len(text))
	}
	switch f.region {
	case command:
		return s.command(text, last)
	case doubleQuotes:
		if text[0] == '"' {
			s.pop()
			return 1
		}
	case singleQuotes:
		if text[0] == '\'' {
			s.pop()
		}
		return 1
	case backquotes:
		if text[0] == '`' {
			s.pop()
		}
		return 1
	case parameter:
		return s.parameter(text)
	case arithmetic:
		return s.arithmetic(text)
	case hereDocument:
		s.lineStart = text[0] == '\n'
		if f.document.quoted {
			return 1
		}
	case comment:
		if text[0] == '\n' {
			s.pop()
			return 0 // the end of the line is also read by the command
		}
		return 1
	}
	return s.expansion(text)
}

// escapes reports whether a backslash escapes the next character in the current region.
func (s *Reader) escapes(text string) bool {
	switch f := s.top(); f.region {
	case singleQuotes, comment:
		return false
	case hereDocument:
		return !f.document.quoted
	case command:
		if !strings.HasPrefix(text, "\\\n") { // a line continuation neither ends nor starts a word
			s.previous = 'x'
		}
	}
	return true
}

// expansion reads the start of an expansion, which begins with $ or `, or any other character.
func (s *Reader) expansion(text string) int {
	switch {
	case text[0] == '`':
		s.push(frame{region: backquotes})
	case strings.HasPrefix(text, "$(("):
		s.push(frame{region: arithmetic, brackets: 2})
		return 3
	case strings.HasPrefix(text, "$("):
		s.push(frame{region: command, brackets: 1})
		return 2
	case strings.HasPrefix(text, "${"):
		f := s.top()
		s.push(frame{region: parameter, literal: f.region == doubleQuotes || f.region == hereDocument || f.literal})
		return 2
	}
	return 1
}

func (s *Reader) parameter(text string) int {
	switch f := s.top(); text[0] {
	case '}':
		s.pop()
		return 1
	case '"':
		s.push(frame{region: doubleQuotes})
		return 1
	case '\'':
		if f.literal {
			s.lost = `after a ' in "${ }"`
		} else {
			s.push(frame{region: singleQuotes})
		}
		return 1
	}
	return s.expansion(text)
}

func (s *Reader) arithmetic(text string) int {
	f := s.top()
	switch text[0] {
	case '(':
		f.brackets++
		return 1
	case ')':
		if f.brackets--; f.brackets == 0 {
			s.pop()
		}
		return 1
	case '"', '\'', '#', '\n', ';':
		s.lost = "after a $(( that may be a command" // such as $((echo a; echo b) | sort)
		return 1
	}
	return s.expansion(text)
}
