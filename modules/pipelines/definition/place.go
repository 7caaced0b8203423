package definition

import "strconv"

// place identifies a part of a definition, such as tasks[2].needs[0]. The nil place is the whole definition. Places
// are created only when a mistake is reported, so they cost nothing for a correct definition.
type place struct {
	parent *place
	name   string
	index  int
	item   bool
}

func (p *place) key(name string) *place { return &place{parent: p, name: name} }

func (p *place) at(i int) *place { return &place{parent: p, index: i, item: true} }

func taskPlace(i int) *place { return (*place)(nil).key("tasks").at(i) }

func (p *place) String() string {
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
func (p *place) elements() []*place {
	if p == nil {
		return nil
	}
	return append(p.parent.elements(), p)
}
