package audit

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/sluiceworks/sluice/platform/dbtype"
)

// rawValue accepts any value of a column, so that one bad value does not end a verification. It is reused for every
// row.
type rawValue struct {
	kind rawKind
	n    int64 // an integer, or microseconds since 1970
	b    []byte
}

type rawKind uint8

const (
	cellNull rawKind = iota
	cellInt
	cellTime
	cellText
	cellBlob
	cellOther
)

// Scan copies the value, because a driver reuses its bytes for the next row.
func (c *rawValue) Scan(src any) error {
	c.b = c.b[:0]
	switch v := src.(type) {
	case nil:
		c.kind = cellNull
	case int64:
		c.kind, c.n = cellInt, v
	case time.Time:
		c.kind, c.n = cellTime, v.UnixMicro()
	case string:
		c.kind, c.b = cellText, append(c.b, v...)
	case []byte:
		c.kind, c.b = cellBlob, append(c.b, v...)
	default:
		c.kind, c.b = cellOther, fmt.Append(c.b, v)
	}
	return nil
}

// raw returns the value in the form that the database compares, for the bound of the next page.
func (c *rawValue) raw() any {
	switch c.kind {
	case cellInt:
		return c.n
	case cellText:
		return string(c.b)
	case cellBlob:
		return append([]byte{}, c.b...)
	}
	return nil
}

func (c *rawValue) String() string {
	switch c.kind {
	case cellNull:
		return "null"
	case cellInt:
		return strconv.FormatInt(c.n, 10)
	case cellTime:
		return instantText(c.n)
	}
	return short(string(c.b))
}

// number is an integer, or a time in microseconds since 1970, that may be null. A bad one has already been reported.
type number struct {
	v        int64
	set, bad bool
}

func (n number) String() string {
	if !n.set {
		return "null"
	}
	return strconv.FormatInt(n.v, 10)
}

func (n number) instant() string {
	if !n.set {
		return "null"
	}
	return instantText(n.v)
}

// time returns the value as a time, or the zero time for null.
func (n number) time() dbtype.Time {
	if !n.set {
		return dbtype.Time{}
	}
	return dbtype.Time{Time: time.UnixMicro(n.v).UTC()}
}

func some(v int64) number { return number{v: v, set: true} }

func instantText(us int64) string { return time.UnixMicro(us).UTC().Format(dbtype.TimeFormat) }

// rawRow is the current row of a query: its cells by position, and the columns that could not be read.
type rawRow struct {
	columns []string
	cells   []rawValue
	bad     []string
	words   map[string]string // texts that occur repeatedly, kept once
}

// maxParts bounds the memory of a record's words.
const maxParts = 10_000

func (r *rawRow) markBad(i int, want string) {
	r.bad = append(r.bad, fmt.Sprintf("%s holds %s, which is no %s", r.columns[i], &r.cells[i], want))
}

func (r *rawRow) number(i int) number {
	switch c := &r.cells[i]; c.kind {
	case cellNull:
		return number{}
	case cellInt:
		return some(c.n)
	}
	r.markBad(i, "integer")
	return number{bad: true}
}

// require is number for a column that is never null.
func (r *rawRow) require(i int) number {
	n := r.number(i)
	if !n.set && !n.bad {
		r.markBad(i, "integer")
		n.bad = true
	}
	return n
}

func (r *rawRow) instant(i int) number {
	switch c := &r.cells[i]; c.kind {
	case cellNull:
		return number{}
	case cellInt, cellTime:
		return some(c.n)
	}
	r.markBad(i, "instant")
	return number{bad: true}
}

// text returns a column's text, and the empty text for null.
func (r *rawRow) text(i int) string {
	c := &r.cells[i]
	switch c.kind {
	case cellNull:
		return ""
	case cellInt, cellTime:
		return c.String()
	}
	if s, ok := r.words[string(c.b)]; ok {
		return s
	}
	s := string(c.b)
	if len(s) <= 100 && len(r.words) < maxParts {
		r.words[s] = s
	}
	return s
}

// id returns a column's id, and the zero id for null.
func (r *rawRow) id(i int) dbtype.ID {
	c := &r.cells[i]
	switch {
	case c.kind == cellNull:
		return dbtype.ID{}
	case c.kind == cellBlob && len(c.b) == 16:
		return dbtype.ID(c.b)
	case c.kind == cellText && len(c.b) == 36:
		if u, err := uuid.ParseBytes(c.b); err == nil {
			return dbtype.ID(u)
		}
	}
	r.markBad(i, "id")
	return dbtype.ID{}
}

// scan runs a query and calls row for each row of its result. The record is valid until the next row.
func scan(g *gorm.DB, columns []string, query string, args []any, row func(*rawRow)) error {
	rows, err := g.Raw(query, args...).Rows()
	if err != nil {
		return err
	}
	r := &rawRow{columns: columns, cells: make([]rawValue, len(columns)), words: map[string]string{}}
	dest := make([]any, len(columns))
	for i := range dest {
		dest[i] = &r.cells[i]
	}
	for rows.Next() {
		if err := rows.Scan(dest...); err != nil {
			return errors.Join(err, rows.Close())
		}
		r.bad = nil
		row(r)
	}
	return errors.Join(rows.Err(), rows.Close())
}

// short quotes a text, and cuts it if it is too long for a report.
func short(s string) string {
	const most = 200
	if len(s) > most {
		return fmt.Sprintf("%q… (%d bytes)", s[:most], len(s))
	}
	return strconv.Quote(s)
}
