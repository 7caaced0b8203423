package definition

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sluiceworks/sluice/platform/suggest"
)

// Diagnostic is one mistake in a definition or in a run's input.
type Diagnostic struct {
	File    string // as passed to Parse; empty for a definition built in Go
	Line    int    // from 1; 0 without a file
	Column  int    // from 1, in characters
	Path    string // such as tasks[2].needs; empty for the whole definition
	Message string // what is wrong
	Hint    string // how to correct it; may be empty
}

// String returns the problem in one line, with file, line and column or else with its path, and with the hint in
// parentheses.
func (p Diagnostic) String() string {
	text := p.Message
	if p.Hint != "" {
		text += " (" + p.Hint + ")"
	}
	switch {
	case p.Line > 0:
		return fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, text)
	case p.Path != "":
		return p.Path + ": " + text
	}
	return text
}

// Diagnostics is the error of Parse, Check and CheckInput. It contains every mistake, in the order of the text if there
// is one.
type Diagnostics []Diagnostic

// Error returns one line per problem.
func (p Diagnostics) Error() string {
	lines := make([]string, len(p))
	for i, problem := range p {
		lines[i] = problem.String()
	}
	return strings.Join(lines, "\n")
}

const (
	maxWarnings    = 100
	maxDiagnostics = 1000 // bounds the work on a file that is not a definition
	maxHints       = 20   // the search for the nearest name compares it with all names
)

// decoder collects mistakes and finds their positions in the text.
type decoder struct {
	file       string
	root       *yaml.Node // nil for a definition built in Go
	source     []byte
	lines      []string // of source, split on demand
	list       Diagnostics
	warnings   Diagnostics
	seen       map[Diagnostic]bool
	suppressed map[string]bool // places already reported, so that they are not reported as missing
	hints      int
	expanded   int  // expanded size so far, bounded by maxExpanded
	more       bool // there were mistakes beyond the limit
}

// add reports a mistake at a place, unless a mistake at the place has been reported while reading the text.
func (r *decoder) add(at *keyPath, hint, format string, args ...any) {
	if r.isSuppressed(at) || r.full() {
		return
	}
	line, column := r.position(at)
	r.append(line, column, at, hint, fmt.Sprintf(format, args...))
}

// addIn reports a mistake offset bytes into the text at a place.
func (r *decoder) addIn(at *keyPath, offset int, hint, format string, args ...any) {
	if r.isSuppressed(at) || r.full() {
		return
	}
	line, column := r.positionIn(at, offset)
	r.append(line, column, at, hint, fmt.Sprintf(format, args...))
}

// warnIn adds a warning offset bytes into the text at a place: what is there is allowed but probably unintended.
func (r *decoder) warnIn(at *keyPath, offset int, hint, format string, args ...any) {
	if len(r.warnings) >= maxWarnings {
		return
	}
	line, column := r.positionIn(at, offset)
	p := Diagnostic{
		File: r.file, Line: line, Column: column, Path: at.String(), Message: fmt.Sprintf(format, args...),
		Hint: hint,
	}
	same := func(w Diagnostic) bool { return w.Line == line && w.Column == column && w.Message == p.Message }
	if line == 0 || !slices.ContainsFunc(r.warnings, same) { // a default inherited by many tasks is one warning
		r.warnings = append(r.warnings, p)
	}
}

// addAt reports a mistake found while reading the text.
func (r *decoder) addAt(n *yaml.Node, at *keyPath, hint, format string, args ...any) {
	r.suppress(at)
	r.append(n.Line, n.Column, at, hint, fmt.Sprintf(format, args...))
}

func (r *decoder) append(line, column int, at *keyPath, hint, message string) {
	p := Diagnostic{File: r.file, Line: line, Column: column, Path: at.String(), Message: message, Hint: hint}
	key := p
	if line > 0 {
		key.Path = "" // a default inherited by many tasks is one mistake
	}
	if r.seen[key] {
		return
	}
	if r.full() {
		return
	}
	if r.seen == nil {
		r.seen = map[Diagnostic]bool{}
	}
	r.seen[key] = true
	r.list = append(r.list, p)
}

// full reports whether no further mistakes are listed. Callers check it first, because finding the position and the
// hint of a mistake costs as much as for a listed one.
func (r *decoder) full() bool {
	r.more = r.more || len(r.list) >= maxDiagnostics
	return r.more
}

func (r *decoder) suppress(at *keyPath) {
	if r.suppressed == nil {
		r.suppressed = map[string]bool{}
	}
	r.suppressed[at.String()] = true
}

func (r *decoder) isSuppressed(at *keyPath) bool {
	if len(r.suppressed) == 0 {
		return false
	}
	for p := at; p != nil; p = p.parent {
		if r.suppressed[p.String()] {
			return true
		}
	}
	return false
}

// suggest returns suggest.Hint for the first maxHints names, and the empty string after that.
func (r *decoder) suggest(name string, known []string) string {
	if r.hints++; r.hints > maxHints {
		return ""
	}
	return suggest.Hint(name, known)
}
