package yamlfile

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sluiceworks/sluice/platform/jsonvalue"
)

// maxExpanded bounds the size in bytes of a file with its aliases, merge keys and defaults expanded: the length of
// each text plus NodeCost per node. A file without them is far below, because it has at most MaxFile bytes.
const maxExpanded = 16 << 20

// NodeCost is the size in bytes that a node adds to the expanded size of a file, beside its text.
const NodeCost = 16

const mergeHint = "<<: takes *NAME of a mapping, or a list of such"

// expander replaces aliases by their anchors' nodes, and merge keys by the entries that they add. Nodes are shared,
// not copied, so the work is bounded by the size of the file and not by its expansion.
type expander struct {
	d      *Decoder
	done   map[*yaml.Node]measured
	merges int // number of nodes that all merge keys have added
}

// measured is an expanded node with its expanded size and its height.
type measured struct {
	node   *yaml.Node
	size   int
	height int
}

// expand returns the document without aliases and merge keys, or nil after reporting a mistake.
func (d *Decoder) expand(root *yaml.Node) *yaml.Node {
	e := &expander{d: d, done: map[*yaml.Node]measured{}}
	m := e.node(root)
	switch {
	case len(d.list) > 0:
		return nil
	case m.height > jsonvalue.MaxDepth:
		d.append(root.Line, root.Column, nil, "", "with its aliases written out, this is nested deeper than "+
			strconv.Itoa(jsonvalue.MaxDepth))
		return nil
	case m.size > maxExpanded:
		d.append(root.Line, root.Column, nil, "use fewer or smaller aliases", expandsTo(m.size))
		return nil
	}
	d.expanded = m.size
	return m.node
}

// Grow adds to the expanded size of the file what is inherited in it. It reports whether the size is within its limit.
func (d *Decoder) Grow(size int) bool {
	d.expanded = sum(d.expanded, size)
	return d.expanded <= maxExpanded
}

// TooLarge returns the message for a file whose expanded size exceeds its limit.
func (d *Decoder) TooLarge() string { return expandsTo(d.expanded) }

func expandsTo(size int) string {
	return "written out in full, the file has " + strconv.Itoa(size) + " bytes, more than the limit of " +
		strconv.Itoa(maxExpanded)
}

func (e *expander) node(n *yaml.Node) measured {
	if n.Kind == yaml.AliasNode {
		m, seen := e.done[n.Alias]
		switch {
		case !seen:
			m = e.node(n.Alias)
		case m.node == nil: // its own expansion is in progress
			e.d.append(n.Line, n.Column, nil, "", "the alias *"+n.Value+" stands within what it is an alias of")
			return measured{node: n}
		}
		return m
	}
	if m, seen := e.done[n]; seen {
		return m
	}
	e.done[n] = measured{}
	if isMerge(n) {
		n.Tag = "!!str" // it is not a key, so it has no special meaning
	}
	m := measured{node: n, size: NodeCost + len(n.Value)}
	content := n.Content
	if n.Kind == yaml.MappingNode {
		content = e.merged(n)
	}
	for i, c := range content {
		x := e.node(c)
		content[i] = x.node
		m.size = sum(m.size, x.size)
		m.height = max(m.height, x.height+1)
	}
	n.Content = content
	e.done[n] = m
	return m
}

// merged returns a mapping's entries and those of its merge key. The mapping's own entries take precedence. Of
// several merged mappings, the first takes precedence.
func (e *expander) merged(n *yaml.Node) []*yaml.Node {
	at := mergeKey(n.Content)
	if at < 0 {
		return n.Content
	}
	own := slices.Concat(n.Content[:at], n.Content[at+2:])
	if i := mergeKey(own); i >= 0 {
		e.d.append(own[i].Line, own[i].Column, nil, "write <<: [*A, *B]",
			"duplicate merge key << in one mapping")
		return nil
	}
	seen := map[string]bool{}
	for i := 0; i < len(own); i += 2 {
		seen[e.node(own[i]).node.Value] = true
	}
	source := n.Content[at+1]
	sources := []*yaml.Node{source}
	if source.Kind == yaml.SequenceNode {
		sources = source.Content
	}
	var brought []*yaml.Node
	for _, s := range sources {
		m := e.node(s).node
		switch {
		case m.Kind == yaml.AliasNode:
			continue // it contains itself, which has been reported
		case m.Kind != yaml.MappingNode:
			e.d.append(s.Line, s.Column, nil, mergeHint, "a merge key needs a mapping, and this is "+Describe(m))
			continue
		}
		if e.merges = sum(e.merges, len(m.Content)); e.merges*NodeCost > maxExpanded {
			e.d.append(s.Line, s.Column, nil, mergeHint, "the merge keys of this file bring more than "+
				strconv.Itoa(maxExpanded/NodeCost)+" keys and values")
			return nil
		}
		for i := 0; i+1 < len(m.Content); i += 2 {
			if key := m.Content[i].Value; !seen[key] {
				seen[key] = true
				brought = append(brought, m.Content[i], m.Content[i+1])
			}
		}
	}
	return slices.Concat(own[:at], brought, own[at:])
}

// mergeKey returns the index of the first merge key in a list of keys and values, or -1.
func mergeKey(content []*yaml.Node) int {
	for i := 0; i+1 < len(content); i += 2 {
		if isMerge(content[i]) {
			return i
		}
	}
	return -1
}

func isMerge(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!merge" }

// sum adds without overflow.
func sum(a, b int) int {
	if a > math.MaxInt/2-b {
		return math.MaxInt / 2
	}
	return a + b
}

// WithoutExtensions returns a mapping without keys that begin with x-. They have no meaning except to hold
// anchors.
func WithoutExtensions(n *yaml.Node) *yaml.Node {
	if n.Kind != yaml.MappingNode {
		return n
	}
	out := *n
	out.Content = nil
	for i := 0; i+1 < len(n.Content); i += 2 {
		if !strings.HasPrefix(n.Content[i].Value, "x-") {
			out.Content = append(out.Content, n.Content[i], n.Content[i+1])
		}
	}
	return &out
}
