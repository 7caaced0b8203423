package definition

import "strconv"

// keyPath identifies a part of a definition, such as tasks[2].needs[0]. The nil place is the whole definition. Places
// are created only when a mistake is reported, so they cost nothing for a correct definition.
type keyPath struct {
	parent *keyPath
	name   string
	index  int
	item   bool
}

func (p *keyPath) key(name string) *keyPath { return &keyPath{parent: p, name: name} }

func (p *keyPath) at(i int) *keyPath { return &keyPath{parent: p, index: i, item: true} }

func taskPath(i int) *keyPath { return (*keyPath)(nil).key("tasks").at(i) }

func (p *keyPath) String() string {
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
func (p *keyPath) elements() []*keyPath {
	if p == nil {
		return nil
	}
	return append(p.parent.elements(), p)
}
