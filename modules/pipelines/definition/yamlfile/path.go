package yamlfile

import "strconv"

// Path identifies a part of a document, such as tasks[2].needs[0]. The nil Path is the whole document. Create paths
// only to report a mistake, so that they cost nothing for a correct document.
type Path struct {
	parent *Path
	name   string
	index  int
	item   bool
}

// Key returns the path of a key of the whole document.
func Key(name string) *Path { return (*Path)(nil).Key(name) }

// Key returns the path of a key of the part, which is a mapping.
func (p *Path) Key(name string) *Path { return &Path{parent: p, name: name} }

// Item returns the path of an item of the part, which is a list. The first has index 0.
func (p *Path) Item(i int) *Path { return &Path{parent: p, index: i, item: true} }

// String returns the path as it is printed in messages.
func (p *Path) String() string {
	switch {
	case p == nil:
		return ""
	case p.item:
		return p.parent.String() + "[" + strconv.Itoa(p.index) + "]"
	case p.parent == nil:
		return p.name
	}
	return p.parent.String() + "." + p.name
}

// elements returns the places from the outermost to the innermost.
func (p *Path) elements() []*Path {
	if p == nil {
		return nil
	}
	return append(p.parent.elements(), p)
}
