package definition

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// err returns the mistakes sorted by position, or nil.
func (r *decoder) err() error {
	if len(r.list) == 0 {
		return nil
	}
	slices.SortStableFunc(r.list, func(a, b Diagnostic) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	if r.more {
		last := r.list[len(r.list)-1]
		last.Message, last.Hint = fmt.Sprintf("no more than %d mistakes are listed", maxDiagnostics), ""
		return append(r.list, last)
	}
	return r.list
}

func (r *decoder) position(at *keyPath) (line, column int) {
	if n := r.find(at); n != nil {
		return n.Line, n.Column
	}
	return 0, 0
}

// find returns the node at a place, or else the innermost node that contains the place. Settings that a task does not
// have are looked up in the defaults.
func (r *decoder) find(at *keyPath) *yaml.Node {
	if r.root == nil {
		return nil
	}
	path := at.elements()
	n, exact := walk(r.root, path)
	if !exact && len(path) > 2 && path[0].name == "tasks" && path[1].item {
		if d, ok := walk(r.root, append([]*keyPath{{name: "defaults"}}, path[2:]...)); ok {
			return d
		}
	}
	return n
}

func walk(n *yaml.Node, path []*keyPath) (*yaml.Node, bool) {
	for _, p := range path {
		next := child(n, p)
		if next == nil {
			return n, false
		}
		n = next
	}
	return n, true
}

func child(n *yaml.Node, p *keyPath) *yaml.Node {
	switch {
	case p.item && n.Kind == yaml.SequenceNode && p.index < len(n.Content):
		return n.Content[p.index]
	case p.item && n.Kind == yaml.ScalarNode && p.index == 0:
		return n // a single item need not be in a list
	case !p.item && n.Kind == yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == p.name {
				return n.Content[i+1]
			}
		}
	}
	return nil
}

// positionIn returns the position offset bytes into a scalar. It is exact in block literals and on single lines
// without escapes, and the scalar's start elsewhere.
func (r *decoder) positionIn(at *keyPath, offset int) (line, column int) {
	n := r.find(at)
	if n == nil {
		return 0, 0
	}
	if n.Kind != yaml.ScalarNode || offset > len(n.Value) {
		return n.Line, n.Column
	}
	if r.lines == nil {
		r.lines = strings.Split(string(r.source), "\n")
	}
	if n.Style&yaml.LiteralStyle != 0 {
		return r.inLiteral(n, offset)
	}
	quote := 0
	if n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0 {
		quote = 1
	}
	before := n.Value[:offset]
	source := r.line(n.Line)
	if len(source) > 1000 { // columns are not useful there, and a thousand mistakes would each scan the line
		return n.Line, n.Column
	}
	text := []rune(source)
	from := min(n.Column-1+quote, len(text))
	if strings.HasPrefix(string(text[from:]), before) {
		return n.Line, n.Column + quote + utf8.RuneCountInString(before)
	}
	return n.Line, n.Column
}

func (r *decoder) inLiteral(n *yaml.Node, offset int) (line, column int) {
	before := n.Value[:offset]
	line = n.Line + 1 + strings.Count(before, "\n")
	column = utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:]) + 1
	for i, text := range strings.Split(n.Value, "\n") {
		if strings.TrimSpace(text) != "" {
			indent := strings.Index(r.line(n.Line+1+i), text)
			return line, column + max(indent, 0)
		}
	}
	return line, column
}

// line returns a line of the source, counted from 1.
func (r *decoder) line(n int) string {
	if n < 1 || n > len(r.lines) {
		return ""
	}
	return r.lines[n-1]
}
