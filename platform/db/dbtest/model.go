package dbtest

import (
	"database/sql"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"gorm.io/gorm"
	"gorm.io/gorm/schema"

	"github.com/sluiceworks/sluice/platform/db"
	"github.com/sluiceworks/sluice/platform/dbtype"
)

// column is a column of a real table.
type column struct {
	kind     string
	nullable bool
}

// CheckModel fails the test if a model and the table that it describes differ: a column that only one of them has, a
// column whose type the model's field cannot hold, or a nullable column whose field cannot hold NULL.
func CheckModel(t *testing.T, d *db.DB, table string, model any) {
	t.Helper()
	for _, difference := range differences(t, d, table, model) {
		t.Errorf("%s: model %T against table %s: %s", d.Backend(), model, table, difference)
	}
}

func differences(t *testing.T, d *db.DB, table string, model any) []string {
	t.Helper()
	g, err := d.Read(t.Context(), table)
	if err != nil {
		t.Fatal(err)
	}
	s, err := schema.Parse(model, &sync.Map{}, g.NamingStrategy)
	if err != nil {
		t.Fatalf("model %T: %v", model, err)
	}
	return compare(s, columns(t, g, g.NamingStrategy.TableName(table)))
}

// columns reads a table's columns from the database's catalogue.
func columns(t *testing.T, g *gorm.DB, table string) map[string]column {
	t.Helper()
	// SQLite reports an integer key as nullable, although it stores the next number for NULL.
	query, args := `SELECT name, lower(type), "notnull" = 0 AND pk = 0 FROM pragma_table_info(?)`, []any{table}
	if namespace, name, qualified := strings.Cut(table, "."); qualified {
		query = `SELECT column_name, data_type, is_nullable = 'YES' FROM information_schema.columns
  WHERE table_schema = ? AND table_name = ?`
		args = []any{namespace, name}
	}
	rows, err := g.Raw(query, args...).Rows()
	if err != nil {
		t.Fatalf("read the columns of %s: %v", table, err)
	}
	defer func() { _ = rows.Close() }()
	out := map[string]column{}
	for rows.Next() {
		var name string
		var c column
		if err := rows.Scan(&name, &c.kind, &c.nullable); err != nil {
			t.Fatalf("read the columns of %s: %v", table, err)
		}
		out[name] = c
	}
	if err := rows.Err(); err != nil {
		t.Fatalf("read the columns of %s: %v", table, err)
	}
	return out
}

// compare lists the differences, sorted by the names of the columns.
func compare(s *schema.Schema, table map[string]column) []string {
	if len(table) == 0 {
		return []string{"there is no such table"}
	}
	var out []string
	for _, name := range slices.Sorted(maps.Keys(s.FieldsByDBName)) {
		c, ok := table[name]
		if !ok {
			out = append(out, "the table has no column "+name)
			continue
		}
		out = append(out, mismatch(s.FieldsByDBName[name], c)...)
	}
	for _, name := range slices.Sorted(maps.Keys(table)) {
		if s.FieldsByDBName[name] == nil {
			out = append(out, "the model has no field for column "+name)
		}
	}
	return out
}

func mismatch(f *schema.Field, c column) []string {
	var out []string
	name, field := f.DBName, f.FieldType
	if held := kindsOf(field); !slices.Contains(held, c.kind) {
		out = append(out, fmt.Sprintf("column %s is %s, its field %s takes %s", name, c.kind, field,
			strings.Join(held, " or ")))
	}
	takesNull := field.Kind() == reflect.Pointer || reflect.PointerTo(field).Implements(reflect.TypeFor[sql.Scanner]())
	if c.nullable && !takesNull {
		out = append(out, fmt.Sprintf("column %s may be NULL, its field %s can't", name, field))
	}
	return out
}

// kindsOf returns the column types of either database that hold a Go type.
func kindsOf(field reflect.Type) []string {
	if field.Kind() == reflect.Pointer {
		field = field.Elem()
	}
	switch field {
	case reflect.TypeFor[dbtype.ID]():
		return []string{"uuid", "blob"}
	case reflect.TypeFor[dbtype.Time]():
		return []string{"timestamp with time zone", "integer"}
	case reflect.TypeFor[dbtype.JSON]():
		return []string{"jsonb", "text"}
	case reflect.TypeFor[sql.NullInt64](), reflect.TypeFor[sql.NullInt32]():
		return []string{"bigint", "integer"}
	case reflect.TypeFor[sql.NullString]():
		return []string{"text"}
	}
	switch field.Kind() {
	case reflect.Int, reflect.Int32, reflect.Int64:
		return []string{"bigint", "integer"}
	case reflect.String:
		return []string{"text"}
	case reflect.Bool:
		return []string{"boolean", "integer"}
	case reflect.Float64:
		return []string{"double precision", "real"}
	}
	return nil
}
