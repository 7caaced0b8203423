package db

import (
	"math/bits"
	"strconv"
	"strings"
)

// set returns a FROM item: a list of VALUES, and single values for the columns that have the same value in every row.
// The plus signs change no value. They make the columns expressions, which SQLite cannot index. Otherwise, with some
// hundred rows, SQLite would scan the whole of a joined table and look each of its rows up in the set.
func (l *sqlite) set(_ int, name string, s *RowSet) (string, []any) {
	constant := s.isConstant()
	vars := make([]any, 0, s.rows*len(s.columns))
	var b strings.Builder
	b.WriteString("(SELECT ")
	varied := 0
	for i := range s.columns {
		if i > 0 {
			b.WriteString(", ")
		}
		if constant[i] {
			b.WriteByte('?')
			vars = append(vars, s.columns[i].value(0))
		} else {
			varied++
			b.WriteString("+column" + strconv.Itoa(varied))
		}
		b.WriteString(" AS " + s.columns[i].name)
	}
	if varied > 0 {
		row := ",(?" + strings.Repeat(",?", varied-1) + ")"
		b.WriteString(" FROM (VALUES ")
		b.WriteString(strings.Repeat(row, s.rows)[1:])
		b.WriteString(")")
		for r := range s.rows {
			for i := range s.columns {
				if !constant[i] {
					vars = append(vars, s.columns[i].value(r))
				}
			}
		}
	}
	b.WriteString(") AS " + name)
	return b.String(), vars
}

// value returns the r-th value of a column as SQLite stores it.
func (c *column) value(r int) any {
	switch c.kind {
	case kindID:
		if c.nullable && c.ids[r].IsZero() {
			return nil
		}
		return c.ids[r][:]
	case kindText, kindJSON:
		if c.nullable && c.texts[r] == "" {
			return nil
		}
		return c.texts[r]
	default:
		if c.nullable && c.ints[r] == 0 {
			return nil
		}
		return c.ints[r]
	}
}

// maxRows returns the greatest power of two that is not above left, up to 256. A statement thus has at most nine
// lengths, and the connection keeps all of them prepared. Longer statements are no faster.
func (l *sqlite) maxRows(_ *RowSet, left int) int { return 1 << min(bits.Len(uint(left))-1, 8) }
