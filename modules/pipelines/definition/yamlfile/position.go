package yamlfile

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Mistakes returns the mistakes sorted by position, at most a thousand and the note that there are more.
func (d *Decoder) Mistakes() []Mistake {
	slices.SortStableFunc(d.list, func(a, b Mistake) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	if d.more {
		last := d.list[len(d.list)-1]
		last.Message, last.Hint = fmt.Sprintf("no more than %d mistakes are listed", maxDiagnostics), ""
		return append(d.list, last)
	}
	return d.list
}

func (d *Decoder) position(at *Path) (line, column int) {
	if n := d.find(at); n != nil {
		return n.Line, n.Column
	}
	return 0, 0
}

// find returns the node at a place, or else the innermost node that contains the place.
func (d *Decoder) find(at *Path) *yaml.Node {
	if d.root == nil {
		return nil
	}
	path := at.elements()
	n, exact := walk(d.root, path)
	if !exact && len(path) > 2 && path[0].name == d.List && path[1].item {
		if inherited, ok := walk(d.root, append([]*Path{{name: d.Defaults}}, path[2:]...)); ok {
			return inherited
		}
	}
	return n
}

func walk(n *yaml.Node, path []*Path) (*yaml.Node, bool) {
	for _, p := range path {
		next := Child(n, p)
		if next == nil {
			return n, false
		}
		n = next
	}
	return n, true
}

// Child returns the node within n that the last element of a path names, or nil.
func Child(n *yaml.Node, p *Path) *yaml.Node {
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
func (d *Decoder) positionIn(at *Path, offset int) (line, column int) {
	n := d.find(at)
	if n == nil {
		return 0, 0
	}
	if n.Kind != yaml.ScalarNode || offset > len(n.Value) {
		return n.Line, n.Column
	}
	if d.lines == nil {
		d.lines = strings.Split(string(d.source), "\n")
	}
	if n.Style&yaml.LiteralStyle != 0 {
		return d.inLiteral(n, offset)
	}
	quote := 0
	if n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0 {
		quote = 1
	}
	before := n.Value[:offset]
	source := d.line(n.Line)
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

func (d *Decoder) inLiteral(n *yaml.Node, offset int) (line, column int) {
	before := n.Value[:offset]
	line = n.Line + 1 + strings.Count(before, "\n")
	column = utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:]) + 1
	for i, text := range strings.Split(n.Value, "\n") {
		if strings.TrimSpace(text) != "" {
			indent := strings.Index(d.line(n.Line+1+i), text)
			return line, column + max(indent, 0)
		}
	}
	return line, column
}

// line returns a line of the source, counted from 1.
func (d *Decoder) line(n int) string {
	if n < 1 || n > len(d.lines) {
		return ""
	}
	return d.lines[n-1]
}
