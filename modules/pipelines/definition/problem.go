package definition

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Problem is one mistake in a definition or in a run's input.
type Problem struct {
	File    string // as given to Parse; empty for what was made in Go
	Line    int    // from 1; 0 where there is no file
	Column  int    // from 1, in characters
	Path    string // such as tasks[2].needs; empty where the whole is meant
	Message string // what is wrong
	Hint    string // what to do about it; may be empty
}

func (p Problem) String() string {
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

// Problems is the error that Parse, Check and CheckInput give: every mistake, in the order of the text where there is one.
type Problems []Problem

func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, problem := range p {
		lines[i] = problem.String()
	}
	return strings.Join(lines, "\n")
}

const (
	maxWarnings = 100
	maxProblems = 1000 // a file with more is not a definition; nobody reads on, and the work stays bounded
	maxHints    = 20   // a search for the nearest name costs the number of names
)

// reporter collects mistakes and finds where in the text they are.
type reporter struct {
	file     string
	root     *yaml.Node // nil for a definition that was made in Go
	source   []byte
	lines    []string // of source, once needed
	list     Problems
	warnings Problems
	seen     map[Problem]bool
	settled  map[string]bool // places already reported on, whose absence is no second mistake
	hints    int
	expanded int  // what has been written out so far of maxExpanded
	more     bool // there were mistakes beyond the limit
}

// add reports a mistake at a place. Nothing is said about a place that reading the text has found fault with already.
func (r *reporter) add(at *place, hint, format string, args ...any) {
	if r.isSettled(at) || r.full() {
		return
	}
	line, column := r.position(at)
	r.append(line, column, at, hint, fmt.Sprintf(format, args...))
}

// addIn reports a mistake within the text at a place, offset bytes into it.
func (r *reporter) addIn(at *place, offset int, hint, format string, args ...any) {
	if r.isSettled(at) || r.full() {
		return
	}
	line, column := r.positionIn(at, offset)
	r.append(line, column, at, hint, fmt.Sprintf(format, args...))
}

// warnIn notes something within the text at a place, offset bytes into it, that is allowed and probably not meant.
func (r *reporter) warnIn(at *place, offset int, hint, format string, args ...any) {
	if len(r.warnings) >= maxWarnings {
		return
	}
	line, column := r.positionIn(at, offset)
	p := Problem{File: r.file, Line: line, Column: column, Path: at.String(), Message: fmt.Sprintf(format, args...), Hint: hint}
	same := func(w Problem) bool { return w.Line == line && w.Column == column && w.Message == p.Message }
	if line == 0 || !slices.ContainsFunc(r.warnings, same) { // settings inherited by many tasks are one warning
		r.warnings = append(r.warnings, p)
	}
}

// addNode reports a mistake found while reading the text.
func (r *reporter) addNode(n *yaml.Node, at *place, hint, format string, args ...any) {
	r.settle(at)
	r.append(n.Line, n.Column, at, hint, fmt.Sprintf(format, args...))
}

func (r *reporter) append(line, column int, at *place, hint, message string) {
	p := Problem{File: r.file, Line: line, Column: column, Path: at.String(), Message: message, Hint: hint}
	key := p
	if line > 0 {
		key.Path = "" // settings inherited by many tasks are one mistake in one place
	}
	if r.seen[key] {
		return
	}
	if r.full() {
		return
	}
	if r.seen == nil {
		r.seen = map[Problem]bool{}
	}
	r.seen[key] = true
	r.list = append(r.list, p)
}

// full reports whether a further mistake goes unlisted. To find its place and a hint would cost as much as for the others.
func (r *reporter) full() bool {
	r.more = r.more || len(r.list) >= maxProblems
	return r.more
}

func (r *reporter) settle(at *place) {
	if r.settled == nil {
		r.settled = map[string]bool{}
	}
	r.settled[at.String()] = true
}

func (r *reporter) isSettled(at *place) bool {
	if len(r.settled) == 0 {
		return false
	}
	for p := at; p != nil; p = p.parent {
		if r.settled[p.String()] {
			return true
		}
	}
	return false
}

// suggest is the package's suggest, until too many names have been searched for.
func (r *reporter) suggest(name string, known []string) string {
	if r.hints++; r.hints > maxHints {
		return ""
	}
	return suggest(name, known)
}
