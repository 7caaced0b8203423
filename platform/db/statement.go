package db

import (
	"errors"
	"fmt"
	"strings"
	"sync"
)

// Args are the values of a statement, by name.
//
// A statement is SQL that both databases understand, with {table} for a table of the tenant and $name for a value of
// Args: a scalar (string, int, int64, bool, float64, ID, Time, Text, JSON) or a *Set. A set may appear in FROM
// wherever a table may, under its own name. A set that is too large for one statement is sent in parts, so a
// statement holds at most one set and must mean the same when it is run once for each part. It must not contain ? or
// @, even in quotes, because GORM takes them for placeholders.
//
// $server is a text that identifies the database server since its last start, and $clock is the database's clock in
// microseconds since 1970. On SQLite they are the empty text and 0.
//
// $keep_plan expands to nothing. It says that the statement has only one sensible plan, whatever the tables hold,
// because it only inserts a set, or reads ranges of an index that no other access path can replace. The server then
// need not plan it each time. $keep_plan_of_one says the same of a statement that finds rows by complete keys of an
// index, if its set has one row.
type Args map[string]any

// dialect is how a statement is written for one database.
type dialect interface {
	// table returns the qualified name of a tenant's table.
	table(tenant, name string) string
	// numbered reports whether placeholders have numbers, so that a value used twice is sent once.
	numbered() bool
	// scalar returns the placeholder of the n-th value, and the value as the driver expects it.
	scalar(n int, value any) (string, any)
	// set returns the FROM item for a set under the given name, and its values, of which the first is the n-th value
	// of the statement.
	set(n int, name string, s *RowSet) (string, []any)
	// maxRows returns how many of the remaining rows of a set the next statement may hold.
	maxRows(s *RowSet, left int) int
	// lateral reports whether a subquery in FROM may refer to preceding items.
	lateral() bool
	// in returns the condition that a key is in the result of a query.
	in(query string) string
	// skipLocked returns the clause with which a claiming SELECT skips rows that others are claiming. It is empty
	// where there is only one writer.
	skipLocked() string
	// forKeyShare returns the clause that keeps rows that a SELECT reads from being locked by forUpdate or skipLocked
	// until the transaction ends. They can still be updated. It is empty where there is only one writer.
	forKeyShare() string
	// forUpdate returns the clause that locks the rows that a SELECT reads until the transaction ends. It is empty
	// where there is only one writer.
	forUpdate() string
	// serverName returns an expression for a text that identifies the database server since its last start. The text
	// is empty where there is no server.
	serverName() string
	// clockReading returns an expression for the database's clock in microseconds since 1970, or 0 where the database
	// uses this machine's clock.
	clockReading() string
	// overridingIdentity returns the clause that lets an INSERT, after its list of columns, set numbers that the table
	// would otherwise generate.
	overridingIdentity() string
}

// piece is a part of a parsed statement: text, a table or a value.
type piece struct {
	text, table, value string
}

const genericPlan, genericPlanIfSingle = "keep_plan", "keep_plan_of_one"

// usesGenericPlan reports whether the server may keep the plan of a statement. The statement must have been rendered
// before.
func usesGenericPlan(statement string, args Args) bool {
	pieces, _ := parsed.Load(statement)
	for _, p := range pieces.([]piece) {
		if p.value == genericPlan || p.value == genericPlanIfSingle && setRows(args) <= 1 {
			return true
		}
	}
	return false
}

// setRows returns the number of rows of the set among the arguments, or 0 if there is none.
func setRows(args Args) int {
	for _, v := range args {
		if s, ok := v.(*RowSet); ok {
			return s.Len()
		}
	}
	return 0
}

var parsed sync.Map // statement to []piece

// errStatement means that the program contains an invalid statement. The error occurs every time the statement is
// run.
var errStatement = errors.New("invalid statement")

// render writes a statement for a dialect, and returns it with its values in order.
func render(d dialect, tenant, statement string, args Args) (string, []any, error) {
	p, ok := parsed.Load(statement)
	if !ok {
		pieces, err := parse(statement)
		if err != nil {
			return "", nil, err
		}
		p, _ = parsed.LoadOrStore(statement, pieces)
	}
	var b strings.Builder
	vars := make([]any, 0, len(args)+8)
	var spelt map[string]string
	if d.numbered() {
		spelt = make(map[string]string, len(args))
	}
	for _, x := range p.([]piece) {
		switch {
		case x.table != "":
			b.WriteString(d.table(tenant, x.table))
		case x.value == "skip_locked":
			b.WriteString(d.skipLocked())
		case x.value == "share":
			b.WriteString(d.forKeyShare())
		case x.value == "for_update":
			b.WriteString(d.forUpdate())
		case x.value == genericPlan || x.value == genericPlanIfSingle: // see kept
		case x.value == "given_numbers":
			b.WriteString(d.overridingIdentity())
		case x.value == "server":
			b.WriteString(d.serverName())
		case x.value == "clock":
			b.WriteString(d.clockReading())
		case x.value != "":
			text, ok := spelt[x.value]
			if !ok {
				v, given := args[x.value]
				if !given {
					return "", nil, fmt.Errorf("%w: no value for $%s", errStatement, x.value)
				}
				if s, isSet := v.(*RowSet); isSet {
					item, values := d.set(len(vars)+1, x.value, s)
					text, vars = item, append(vars, values...)
				} else {
					ph, val := d.scalar(len(vars)+1, v)
					text, vars = ph, append(vars, val)
				}
				if spelt != nil {
					spelt[x.value] = text
				}
			}
			b.WriteString(text)
		default:
			b.WriteString(x.text)
		}
	}
	return b.String(), vars, nil
}

// parse cuts a statement into its pieces.
func parse(s string) ([]piece, error) {
	if strings.ContainsAny(s, "?@") {
		return nil, fmt.Errorf("%w: ? or @ in %q", errStatement, s)
	}
	var out []piece
	for len(s) > 0 {
		i := strings.IndexAny(s, "{$")
		if i < 0 {
			return append(out, piece{text: s}), nil
		}
		if i > 0 {
			out = append(out, piece{text: s[:i]})
		}
		mark, rest := s[i], s[i+1:]
		n := nameLength(rest)
		switch {
		case n == 0 || mark == '{' && !strings.HasPrefix(rest[n:], "}"):
			return nil, fmt.Errorf("%w: no name at %q", errStatement, s[i:])
		case mark == '{':
			out, s = append(out, piece{table: rest[:n]}), rest[n+1:]
		default:
			out, s = append(out, piece{value: rest[:n]}), rest[n:]
		}
	}
	return out, nil
}

// nameLength returns how many bytes of s belong to the name at its start.
func nameLength(s string) int {
	n := 0
	for n < len(s) && (s[n] == '_' || 'a' <= s[n] && s[n] <= 'z' || '0' <= s[n] && s[n] <= '9') {
		n++
	}
	return n
}

// eachChunk runs fn with the arguments, or once for each part of a set that is too large for one statement. It does
// not run fn for an empty set.
func eachChunk(d dialect, args Args, fn func(Args) error) error {
	for name, v := range args {
		s, ok := v.(*RowSet)
		if !ok {
			continue
		}
		if s.Len() > 0 && d.maxRows(s, s.Len()) >= s.Len() {
			return fn(args)
		}
		for from := 0; from < s.Len(); {
			to := min(from+d.maxRows(s, s.Len()-from), s.Len())
			part := Args{}
			for k, v := range args {
				part[k] = v
			}
			part[name] = s.slice(from, to)
			if err := fn(part); err != nil {
				return err
			}
			from = to
		}
		return nil
	}
	return fn(args)
}
