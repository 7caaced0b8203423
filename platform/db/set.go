package db

// Set is rows of values that one statement handles together. It is columnar: each column is added whole, all of one length.
// The zero value of a column added by a Null method is NULL.
type Set struct {
	columns []column
	rows    int
	payload bool // what is added from now on
}

type kind int

const (
	kindID kind = iota
	kindText
	kindInt
	kindTime
	kindJSON
)

type column struct {
	name     string
	kind     kind
	nullable bool
	payload  bool // is written, and finds nothing
	ids      []ID
	texts    []string
	ints     []int64 // kindTime: microseconds since 1970
}

// NewSet starts a set of the given number of rows.
func NewSet(rows int) *Set { return &Set{rows: rows} }

// IDSet is a set of one column, id.
func IDSet(ids []ID) *Set { return NewSet(len(ids)).IDs("id", ids) }

// Len is the number of rows.
func (s *Set) Len() int { return s.rows }

// IDs adds a column of ids, none of them zero.
func (s *Set) IDs(name string, v []ID) *Set {
	return s.add(column{name: name, kind: kindID, ids: v}, len(v))
}

// NullIDs adds a column of ids.
func (s *Set) NullIDs(name string, v []ID) *Set {
	return s.add(column{name: name, kind: kindID, nullable: true, ids: v}, len(v))
}

// Texts adds a column of text.
func (s *Set) Texts(name string, v []string) *Set {
	return s.add(column{name: name, kind: kindText, texts: v}, len(v))
}

// NullTexts adds a column of text.
func (s *Set) NullTexts(name string, v []string) *Set {
	return s.add(column{name: name, kind: kindText, nullable: true, texts: v}, len(v))
}

// JSONs adds a column of documents; the empty text is NULL.
func (s *Set) JSONs(name string, v []string) *Set {
	return s.add(column{name: name, kind: kindJSON, nullable: true, texts: v}, len(v))
}

// Ints adds a column of numbers.
func (s *Set) Ints(name string, v []int64) *Set {
	return s.add(column{name: name, kind: kindInt, ints: v}, len(v))
}

// NullInts adds a column of numbers.
func (s *Set) NullInts(name string, v []int64) *Set {
	return s.add(column{name: name, kind: kindInt, nullable: true, ints: v}, len(v))
}

// Times adds a column of instants.
func (s *Set) Times(name string, v []Time) *Set {
	us := make([]int64, len(v))
	for i, t := range v {
		if !t.IsZero() {
			us[i] = t.UnixMicro()
		}
	}
	return s.add(column{name: name, kind: kindTime, nullable: true, ints: us}, len(v))
}

func (s *Set) add(c column, n int) *Set {
	if n != s.rows {
		panic("set column " + c.name + " has another length than its set")
	}
	c.payload = s.payload
	s.columns = append(s.columns, c)
	return s
}

// Payload says that the columns added from now on are only written: no condition of the statement names them. Those that have the
// same value in all rows are then handed over once. A condition on such a value could have the planner begin with the table instead
// of the set, and read all of it.
func (s *Set) Payload() *Set {
	s.payload = true
	return s
}

// constant reports which columns are handed over as one value: of a single row all, for it finds at most one row by its key.
func (s *Set) constant() []bool {
	out := make([]bool, len(s.columns))
	all := s.rows > 1
	for i := range s.columns {
		out[i] = s.rows == 1 || s.columns[i].payload && s.columns[i].constant()
		all = all && out[i]
	}
	if all && len(out) > 0 {
		out[0] = false // one has to say how many rows there are
	}
	return out
}

func (c *column) constant() bool {
	switch c.kind {
	case kindID:
		return same(c.ids)
	case kindText, kindJSON:
		return same(c.texts)
	default:
		return same(c.ints)
	}
}

func same[T comparable](list []T) bool {
	for i := 1; i < len(list); i++ {
		if list[i] != list[0] {
			return false
		}
	}
	return true
}

// append adds the rows of another set with the same columns.
func (s *Set) append(more *Set) {
	s.rows += more.rows
	for i := range s.columns {
		c, m := &s.columns[i], &more.columns[i]
		c.ids, c.texts, c.ints = append(c.ids, m.ids...), append(c.texts, m.texts...), append(c.ints, m.ints...)
	}
}

// slice is the rows from..to as a set of their own, sharing memory: what is appended to it goes elsewhere.
func (s *Set) slice(from, to int) *Set {
	out := &Set{rows: to - from, columns: make([]column, len(s.columns))}
	for i, c := range s.columns {
		switch c.kind {
		case kindID:
			c.ids = c.ids[from:to:to]
		case kindText, kindJSON:
			c.texts = c.texts[from:to:to]
		default:
			c.ints = c.ints[from:to:to]
		}
		out.columns[i] = c
	}
	return out
}
