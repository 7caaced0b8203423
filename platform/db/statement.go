package db

import (
	"errors"
	"fmt"
	"strings"
	"sync"
)

// Args are the values of a statement, by name.
//
// A statement is SQL that both databases understand, with {table} for a table of the tenant and $name for a value of Args:
// a scalar (string, int, int64, bool, float64, ID, Time, Text, JSON) or a *Set, which stands where a table may stand in FROM
// and is called by its name. A set too large for the database is handed over in parts, so a statement holds at most one
// set and must mean the same when it is run once for each part. It holds no ? and no @, even in quotes, for the layer below
// takes them for placeholders.
//
// $keep_plan stands for nothing. It says that the statement has but one sensible plan, whatever the tables hold: it only inserts a
// set, or looks at ranges of an index that nothing else can replace. So it need not be planned again each time. $keep_plan_of_one
// says so of one that finds rows by whole keys of an index, if its set has one row.
type Args map[string]any

// dialect is how a statement is spelt for one database.
type dialect interface {
	// table gives the qualified name of a tenant's table.
	table(tenant, name string) string
	// numbered reports whether placeholders have numbers, so that a value used twice is handed over once.
	numbered() bool
	// scalar gives the placeholder of the n-th value and the value as the driver wants it.
	scalar(n int, value any) (string, any)
	// set gives the FROM item called name of a set whose first value is the n-th, and its values.
	set(n int, name string, s *Set) (string, []any)
	// maxRows is how many of the rows left of a set the next statement takes.
	maxRows(s *Set, left int) int
	// lateral reports whether FROM may hold a subquery about what stands before it.
	lateral() bool
	// in is the condition that a key is one of those that a query finds.
	in(query string) string
	// skipLocked is what makes a claiming SELECT pass by rows that others are claiming; empty where there is one writer.
	skipLocked() string
	// share keeps rows that a SELECT reads from being locked by forUpdate or skipLocked until the transaction ends, while they can
	// be updated; empty where there is one writer.
	share() string
	// forUpdate locks the rows that a SELECT reads until the transaction ends; empty where there is one writer.
	forUpdate() string
	// givenNumbers makes an INSERT, after its list of columns, take numbers that the table would give itself.
	givenNumbers() string
}

// piece is a part of a parsed statement: text, a table or a value.
type piece struct {
	text, table, value string
}

const keepPlan, keepPlanOfOne = "keep_plan", "keep_plan_of_one"

// kept reports whether the plan of a statement that has been rendered may be kept.
func kept(statement string, args Args) bool {
	pieces, _ := parsed.Load(statement)
	for _, p := range pieces.([]piece) {
		if p.value == keepPlan || p.value == keepPlanOfOne && setRows(args) <= 1 {
			return true
		}
	}
	return false
}

// setRows is the number of rows of the set among the arguments; 0 if there is none.
func setRows(args Args) int {
	for _, v := range args {
		if s, ok := v.(*Set); ok {
			return s.Len()
		}
	}
	return 0
}

var parsed sync.Map // statement to []piece

// errStatement is a mistake in the program's text, which shows whenever the statement runs.
var errStatement = errors.New("invalid statement")

// render spells a statement for a dialect and orders its values.
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
			b.WriteString(d.share())
		case x.value == "for_update":
			b.WriteString(d.forUpdate())
		case x.value == keepPlan || x.value == keepPlanOfOne: // see kept
		case x.value == "given_numbers":
			b.WriteString(d.givenNumbers())
		case x.value != "":
			text, ok := spelt[x.value]
			if !ok {
				v, given := args[x.value]
				if !given {
					return "", nil, fmt.Errorf("%w: no value for $%s", errStatement, x.value)
				}
				if s, isSet := v.(*Set); isSet {
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

// nameLength is how many bytes of s belong to the name that it starts with.
func nameLength(s string) int {
	n := 0
	for n < len(s) && (s[n] == '_' || 'a' <= s[n] && s[n] <= 'z' || '0' <= s[n] && s[n] <= '9') {
		n++
	}
	return n
}

// eachChunk runs fn with the arguments, or once for each part of a set that is too large for one statement.
// An empty set runs nothing.
func eachChunk(d dialect, args Args, fn func(Args) error) error {
	for name, v := range args {
		s, ok := v.(*Set)
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
