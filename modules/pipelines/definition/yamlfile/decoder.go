// Package yamlfile reads the YAML file of a pipeline: it decodes the document, resolves aliases and merge keys within a
// bound, reads typed values from its nodes, and collects every mistake with its position and a hint. What the keys mean
// is for package definition, which also reports the mistakes that it finds later through the Decoder, because only the
// document knows their lines.
package yamlfile

import (
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/sluiceworks/sluice/platform/suggest"
)

// Mistake is one mistake in a document, or in a value without one.
type Mistake struct {
	Line    int    // from 1; 0 without a document
	Column  int    // from 1, in characters
	Path    string // such as tasks[2].needs; empty for the whole document
	Message string // what is wrong
	Hint    string // how to correct it; may be empty
}

const (
	maxWarnings    = 100
	maxDiagnostics = 1000 // bounds the work on a file that is not a definition
	maxHints       = 20   // the search for the nearest name compares it with all names
)

// Decoder collects mistakes and finds their positions in its document. The zero Decoder has no document: its mistakes
// have a path and no line, which serves values built in Go.
type Decoder struct {
	// List and Defaults are two keys of the document. A setting that an item of List lacks has the position of the one
	// in Defaults that the item inherits.
	List, Defaults string

	root       *yaml.Node // nil without a document
	source     []byte
	lines      []string // of source, split on demand
	list       []Mistake
	warnings   []Mistake
	seen       map[Mistake]bool
	suppressed map[string]bool // places already reported, so that they are not reported as missing
	hints      int
	expanded   int  // expanded size so far, bounded by maxExpanded
	more       bool // there were mistakes beyond the limit
}

// HasDocument reports whether the mistakes have lines.
func (d *Decoder) HasDocument() bool { return d.root != nil }

// Warnings returns the warnings, at most a hundred.
func (d *Decoder) Warnings() []Mistake { return d.warnings }

// Add reports a mistake at a place, unless a mistake at the place has been reported while reading the document.
func (d *Decoder) Add(at *Path, hint, format string, args ...any) {
	if d.IsSuppressed(at) || d.Full() {
		return
	}
	line, column := d.position(at)
	d.append(line, column, at, hint, fmt.Sprintf(format, args...))
}

// AddIn reports a mistake offset bytes into the text at a place.
func (d *Decoder) AddIn(at *Path, offset int, hint, format string, args ...any) {
	if d.IsSuppressed(at) || d.Full() {
		return
	}
	line, column := d.positionIn(at, offset)
	d.append(line, column, at, hint, fmt.Sprintf(format, args...))
}

// WarnIn adds a warning offset bytes into the text at a place: what is there is allowed but probably unintended.
func (d *Decoder) WarnIn(at *Path, offset int, hint, format string, args ...any) {
	if len(d.warnings) >= maxWarnings {
		return
	}
	line, column := d.positionIn(at, offset)
	p := Mistake{line, column, at.String(), fmt.Sprintf(format, args...), hint}
	same := func(w Mistake) bool { return w.Line == line && w.Column == column && w.Message == p.Message }
	if line == 0 || !slices.ContainsFunc(d.warnings, same) { // a default inherited by many tasks is one warning
		d.warnings = append(d.warnings, p)
	}
}

// AddAt reports a mistake at a node, found while reading the document.
func (d *Decoder) AddAt(n *yaml.Node, at *Path, hint, format string, args ...any) {
	d.suppress(at)
	d.append(n.Line, n.Column, at, hint, fmt.Sprintf(format, args...))
}

func (d *Decoder) append(line, column int, at *Path, hint, message string) {
	p := Mistake{line, column, at.String(), message, hint}
	key := p
	if line > 0 {
		key.Path = "" // a default inherited by many tasks is one mistake
	}
	if d.seen[key] {
		return
	}
	if d.Full() {
		return
	}
	if d.seen == nil {
		d.seen = map[Mistake]bool{}
	}
	d.seen[key] = true
	d.list = append(d.list, p)
}

// Full reports whether no further mistakes are listed. Callers check it first, because finding the position and the
// hint of a mistake costs as much as for a listed one.
func (d *Decoder) Full() bool {
	d.more = d.more || len(d.list) >= maxDiagnostics
	return d.more
}

func (d *Decoder) suppress(at *Path) {
	if d.suppressed == nil {
		d.suppressed = map[string]bool{}
	}
	d.suppressed[at.String()] = true
}

// IsSuppressed reports whether a mistake at a place, or around it, has been reported while reading the document.
func (d *Decoder) IsSuppressed(at *Path) bool {
	if len(d.suppressed) == 0 {
		return false
	}
	for p := at; p != nil; p = p.parent {
		if d.suppressed[p.String()] {
			return true
		}
	}
	return false
}

// Suggest returns suggest.Hint for the first maxHints names, and the empty string after that.
func (d *Decoder) Suggest(name string, known []string) string {
	if d.hints++; d.hints > maxHints {
		return ""
	}
	return suggest.Hint(name, known)
}
