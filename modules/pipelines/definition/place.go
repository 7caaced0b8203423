package definition

import "strconv"

// place names a part of a definition, such as tasks[2].needs[0]. The nil place is the whole. Places are made when a mistake is
// reported and not before, so that a correct definition pays nothing for them.
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

// elements lists the places from the outermost inwards.
func (p *place) elements() []*place {
	if p == nil {
		return nil
	}
	return append(p.parent.elements(), p)
}
