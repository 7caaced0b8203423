package db

import (
	"database/sql/driver"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"

	"gorm.io/gorm/schema"

	"github.com/sluiceworks/sluice/platform/dbtype"
)

// Model is a table, or some of its columns, as GORM reads it from the struct T. It is the only list of the table's
// columns: inserts, row sets and reads take theirs from it.
type Model[T any] struct {
	table   string
	fields  []field
	inserts *sync.Map // of the fields that an INSERT writes, as a bit set, to its text
}

// field is a column of a model.
type field struct {
	name     string
	index    []int // in the struct
	kind     kind
	nullable bool // the zero value is NULL
	identity bool // the database numbers the rows if the column is not given
}

// ModelOf returns the model of a table whose rows are values of T. It panics if T has a field that no column can hold.
func ModelOf[T any](table string) *Model[T] {
	s, err := schema.Parse(new(T), &sync.Map{}, schema.NamingStrategy{})
	if err != nil {
		panic(fmt.Sprintf("model of %s: %v", table, err))
	}
	m := &Model[T]{table: table, inserts: &sync.Map{}}
	for _, f := range s.Fields {
		if f.DBName != "" {
			x := field{name: f.DBName, index: f.StructField.Index, identity: f.AutoIncrement}
			x.kind, x.nullable = kindOf(table+"."+f.DBName, f.FieldType)
			m.fields = append(m.fields, x)
		}
	}
	return m
}

var valuer = reflect.TypeFor[driver.Valuer]()

// kindOf returns how the values of a type are stored, and whether the zero value is NULL.
func kindOf(column string, t reflect.Type) (k kind, nullable bool) {
	switch t {
	case reflect.TypeFor[dbtype.ID]():
		return kindID, true
	case reflect.TypeFor[dbtype.Time]():
		return kindTime, true
	case reflect.TypeFor[dbtype.JSON]():
		return kindJSON, true
	case reflect.TypeFor[*int64]():
		return kindInt, true
	}
	switch t.Kind() {
	case reflect.String:
		return kindText, t.Implements(valuer) // those write the empty text as NULL; see dbtype.Text
	case reflect.Int, reflect.Int64:
		return kindInt, false
	}
	panic(fmt.Sprintf("model: column %s cannot hold a %s", column, t))
}

// Only returns the model of some columns, in the given order. It panics if there is no such column.
func (m *Model[T]) Only(names ...string) *Model[T] {
	out := &Model[T]{table: m.table, inserts: &sync.Map{}}
	for _, name := range names {
		i := slices.IndexFunc(m.fields, func(f field) bool { return f.name == name })
		if i < 0 {
			panic(fmt.Sprintf("model of %s: no column %q", m.table, name))
		}
		out.fields = append(out.fields, m.fields[i])
	}
	return out
}

// Without returns the model of all columns but some. It panics if there is no such column.
func (m *Model[T]) Without(names ...string) *Model[T] {
	_ = m.Only(names...)
	return m.Only(slices.DeleteFunc(m.Names(), func(name string) bool { return slices.Contains(names, name) })...)
}

// Names returns the names of the columns.
func (m *Model[T]) Names() []string {
	names := make([]string, len(m.fields))
	for i := range m.fields {
		names[i] = m.fields[i].name
	}
	return names
}

// Columns returns the list of columns for a SELECT or a RETURNING, qualified with the alias of the table unless that is
// empty.
func (m *Model[T]) Columns(alias string) string {
	if alias != "" {
		alias += "."
	}
	return alias + strings.Join(m.Names(), ", "+alias)
}

// Scan reads the columns of one row, as listed by Columns, into t.
func (m *Model[T]) Scan(t *T, scan Scan) error {
	v := reflect.ValueOf(t).Elem()
	to := make([]any, len(m.fields))
	for i := range m.fields {
		to[i] = v.FieldByIndex(m.fields[i].index).Addr().Interface()
	}
	return scan(to...)
}

// Into returns the function that reads rows, as listed by Columns, and appends them to list.
func (m *Model[T]) Into(list *[]T) func(Scan) error {
	return func(scan Scan) error {
		*list = append(*list, *new(T))
		return m.Scan(&(*list)[len(*list)-1], scan)
	}
}

// AddTo adds the columns of rows to a set of as many rows.
func (m *Model[T]) AddTo(s *RowSet, rows []*T) *RowSet {
	values := make([]reflect.Value, len(rows))
	for i, row := range rows {
		values[i] = reflect.ValueOf(row).Elem()
	}
	for i := range m.fields {
		s.add(m.fields[i].column(values), len(rows))
	}
	return s
}

// column returns the values of one column.
func (f *field) column(rows []reflect.Value) column {
	c := column{name: f.name, kind: f.kind, nullable: f.nullable}
	switch f.kind {
	case kindID:
		c.ids = make([]dbtype.ID, len(rows))
		for i, row := range rows {
			c.ids[i], _ = reflect.TypeAssert[dbtype.ID](row.FieldByIndex(f.index))
		}
	case kindText:
		c.texts = make([]string, len(rows))
		for i, row := range rows {
			c.texts[i] = row.FieldByIndex(f.index).String()
		}
	case kindJSON:
		c.texts = make([]string, len(rows))
		for i, row := range rows {
			c.texts[i] = string(row.FieldByIndex(f.index).Bytes())
		}
	case kindTime:
		c.ints = make([]int64, len(rows))
		for i, row := range rows {
			if t, _ := reflect.TypeAssert[dbtype.Time](row.FieldByIndex(f.index)); !t.IsZero() {
				c.ints[i] = t.UnixMicro()
			}
		}
	default:
		c.ints = make([]int64, len(rows))
		for i, row := range rows {
			if v := reflect.Indirect(row.FieldByIndex(f.index)); v.IsValid() {
				c.ints[i] = v.Int()
			}
		}
	}
	return c
}

// Insert adds the INSERT of rows to a batch. The batch fails if not all of them are written.
func (m *Model[T]) Insert(b *Batch, doing string, rows []*T) {
	n := int64(len(rows))
	statement, args := m.InsertSQL(rows)
	b.ExecExpect(doing, statement+" $keep_plan", args, n, func(written int64) error {
		return fmt.Errorf("%s: %d of %d rows were written", doing, written, n)
	})
}

// InsertSQL returns the statement that inserts rows and its arguments, for callers that add an ON CONFLICT or a
// RETURNING clause. Columns that are NULL in all rows are left out. The set is named x.
func (m *Model[T]) InsertSQL(rows []*T) (statement string, args Args) {
	set := m.AddTo(NewRowSet(len(rows)).WriteOnly(), rows)
	written, kept := uint64(0), set.columns[:0]
	for i, c := range set.columns {
		if !c.nullable || !c.isZero() {
			written |= 1 << i
			kept = append(kept, c)
		}
	}
	set.columns = kept
	text, ok := m.inserts.Load(written)
	if !ok {
		text, _ = m.inserts.LoadOrStore(written, m.insertText(written))
	}
	return text.(string), Args{"x": set}
}

func (m *Model[T]) insertText(written uint64) string {
	var names []string
	numbers := ""
	for i := range m.fields {
		if written&(1<<i) != 0 {
			names = append(names, m.fields[i].name)
			if m.fields[i].identity {
				numbers = " $given_numbers"
			}
		}
	}
	return "INSERT INTO {" + m.table + "} (" + strings.Join(names, ", ") + ")" + numbers +
		" SELECT x." + strings.Join(names, ", x.") + " FROM $x WHERE true"
}

// isZero reports whether all values are zero.
func (c *column) isZero() bool {
	for i := range c.ids {
		if !c.ids[i].IsZero() {
			return false
		}
	}
	for i := range c.texts {
		if c.texts[i] != "" {
			return false
		}
	}
	for i := range c.ints {
		if c.ints[i] != 0 {
			return false
		}
	}
	return true
}

// Pointers returns pointers to the elements of a list.
func Pointers[T any](list []T) []*T {
	out := make([]*T, len(list))
	for i := range list {
		out[i] = &list[i]
	}
	return out
}
