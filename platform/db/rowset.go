package db

import "github.com/sluiceworks/sluice/platform/dbtype"

// RowSet is rows of values that one statement handles together. It is stored by columns: each column is added as a
// whole, and all have the same length. In a column that a Null method added, the zero value is NULL.
type RowSet struct {
	columns []column
	rows    int
	payload bool // whether columns added later are payload
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
	name      string
	kind      kind
	nullable  bool
	writeOnly bool // is only written; no condition names it
	ids       []dbtype.ID
	texts     []string
	ints      []int64 // microseconds since 1970 for kindTime
}

// NewRowSet returns a set of the given number of rows, without columns.
func NewRowSet(rows int) *RowSet { return &RowSet{rows: rows} }

// IDRows returns a set with one column, id.
func IDRows(ids []dbtype.ID) *RowSet { return NewRowSet(len(ids)).IDs("id", ids) }

// Len returns the number of rows.
func (s *RowSet) Len() int { return s.rows }

// IDs adds a column of ids, none of which may be zero.
func (s *RowSet) IDs(name string, v []dbtype.ID) *RowSet {
	return s.add(column{name: name, kind: kindID, ids: v}, len(v))
}

// NullIDs adds a column of ids; the zero ID is NULL.
func (s *RowSet) NullIDs(name string, v []dbtype.ID) *RowSet {
	return s.add(column{name: name, kind: kindID, nullable: true, ids: v}, len(v))
}

// Texts adds a column of text.
func (s *RowSet) Texts(name string, v []string) *RowSet {
	return s.add(column{name: name, kind: kindText, texts: v}, len(v))
}

// NullTexts adds a column of text; the empty text is NULL.
func (s *RowSet) NullTexts(name string, v []string) *RowSet {
	return s.add(column{name: name, kind: kindText, nullable: true, texts: v}, len(v))
}

// JSONs adds a column of documents; the empty text is NULL.
func (s *RowSet) JSONs(name string, v []string) *RowSet {
	return s.add(column{name: name, kind: kindJSON, nullable: true, texts: v}, len(v))
}

// Ints adds a column of numbers.
func (s *RowSet) Ints(name string, v []int64) *RowSet {
	return s.add(column{name: name, kind: kindInt, ints: v}, len(v))
}

// NullInts adds a column of numbers; 0 is NULL.
func (s *RowSet) NullInts(name string, v []int64) *RowSet {
	return s.add(column{name: name, kind: kindInt, nullable: true, ints: v}, len(v))
}

// Times adds a column of times; the zero Time is NULL.
func (s *RowSet) Times(name string, v []dbtype.Time) *RowSet {
	us := make([]int64, len(v))
	for i, t := range v {
		if !t.IsZero() {
			us[i] = t.UnixMicro()
		}
	}
	return s.add(column{name: name, kind: kindTime, nullable: true, ints: us}, len(v))
}

func (s *RowSet) add(c column, n int) *RowSet {
	if n != s.rows {
		panic("set column " + c.name + " has another length than its set")
	}
	c.writeOnly = s.payload
	s.columns = append(s.columns, c)
	return s
}

// WriteOnly declares that the columns added after it are only written: no condition of the statement names them. A
// payload column that has the same value in all rows is then sent as one value. In a condition, such a single value
// could make the planner start with the table instead of the set, and read the whole table.
func (s *RowSet) WriteOnly() *RowSet {
	s.payload = true
	return s
}

// isConstant reports which columns are sent as one value. All columns of a single row are, because a single row finds
// at most one row by its key.
func (s *RowSet) isConstant() []bool {
	out := make([]bool, len(s.columns))
	all := s.rows > 1
	for i := range s.columns {
		out[i] = s.rows == 1 || s.columns[i].writeOnly && s.columns[i].isConstant()
		all = all && out[i]
	}
	if all && len(out) > 0 {
		out[0] = false // one column must say how many rows there are
	}
	return out
}

func (c *column) isConstant() bool {
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

// slice returns the rows from..to as a set of its own, which shares the memory. Appending to it does not change s.
func (s *RowSet) slice(from, to int) *RowSet {
	out := &RowSet{rows: to - from, columns: make([]column, len(s.columns))}
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
