package expr

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"

	"github.com/sluiceworks/sluice/platform/jsonvalue"
)

func (v *evaluator) member(n *ast.MemberNode) (any, error) {
	base, err := v.eval(n.Node)
	if err != nil {
		return nil, err
	}
	key, err := v.eval(n.Property)
	if err != nil {
		return nil, err
	}
	r, found, err := v.at(base, key)
	switch {
	case err != nil:
		return nil, err
	case found:
		return r, nil
	case n.Optional:
		return nil, errEndChain
	case base == nil:
		return nil, &missingError{v.e.describe(n.Node) + " is null" + reading(key)}
	}
	if _, ok := base.(map[string]any); ok {
		return nil, &missingError{fmt.Sprintf("%s has no key %.80q", v.e.describe(n.Node), key)}
	}
	return nil, &missingError{fmt.Sprintf("%s has no element %v", v.e.describe(n.Node), key)}
}

func reading(key any) string {
	if s, ok := key.(string); ok {
		return fmt.Sprintf(" and has no key %.80q", s)
	}
	return ""
}

// at returns the value of a key in an object, an element of a list or a character of a string.
func (v *evaluator) at(base, key any) (r any, found bool, err error) {
	switch b := base.(type) {
	case nil:
		return nil, false, nil
	case map[string]any:
		k, ok := key.(string)
		if !ok {
			return nil, false, fmt.Errorf("the key of an object is a string, not %s", jsonvalue.Kind(key))
		}
		r, found = b[k]
		return r, found, nil
	case []any:
		i, err := elementIndex(key, len(b))
		if err != nil || i < 0 || i >= len(b) {
			return nil, false, err
		}
		return b[i], true, nil
	case string:
		if err := v.scan(len(b)); err != nil {
			return nil, false, err
		}
		n := utf8.RuneCountInString(b)
		i, err := elementIndex(key, n)
		if err != nil || i < 0 || i >= n {
			return nil, false, err
		}
		return characters(b, i, i+1), true, nil
	}
	return nil, false, fmt.Errorf("cannot read a key of a value that is not an object: it is %s", jsonvalue.Kind(base))
}

func elementIndex(key any, length int) (int, error) {
	if _, ok := key.(string); ok {
		return 0, errors.New("cannot read a key of a value that is not an object")
	}
	i, err := whole(key)
	if err != nil {
		return 0, fmt.Errorf("the index of an element: %w", err)
	}
	if i < 0 {
		i += length
	}
	return i, nil
}

// characters returns the characters of s from index from, inclusive, to index to, exclusive.
func characters(s string, from, to int) string {
	begin, n := len(s), 0
	for i := range s {
		if n == from {
			begin = i
		}
		if n == to {
			return s[min(begin, i):i]
		}
		n++
	}
	return s[begin:]
}

func (v *evaluator) slice(n *ast.SliceNode) (any, error) {
	base, err := v.eval(n.Node)
	if err != nil {
		return nil, err
	}
	length, err := v.length(base)
	if err != nil {
		return nil, err
	}
	from, to := 0, length
	for _, bound := range []struct {
		n  ast.Node
		at *int
	}{{n.From, &from}, {n.To, &to}} {
		if bound.n == nil {
			continue
		}
		r, err := v.eval(bound.n)
		if err != nil {
			return nil, err
		}
		if *bound.at, err = whole(r); err != nil {
			return nil, err
		}
		if *bound.at < 0 {
			*bound.at += length
		}
		*bound.at = min(max(*bound.at, 0), length)
	}
	from = min(from, to)
	switch b := base.(type) {
	case []any:
		return slices.Clip(b[from:to]), nil
	case string:
		return characters(b, from, to), nil
	}
	return nil, fmt.Errorf("a part can be taken of a list or a string, not of %s", jsonvalue.Kind(base))
}

// describe returns a name, for messages, of what a node reads.
func (e *Expression) describe(n ast.Node) string {
	switch n := n.(type) {
	case *ast.ChainNode:
		return e.describe(n.Node)
	case *ast.IdentifierNode:
		if r, ok := e.refs[n]; ok {
			return r.String()
		}
		return n.Value
	case *ast.MemberNode:
		if s, ok := n.Property.(*ast.StringNode); ok {
			return e.describe(n.Node) + selector(s.Value)
		}
		return "an element of " + e.describe(n.Node)
	case *ast.PointerNode:
		return "#" + n.Name
	}
	return "the value"
}

// shortened returns the source of an expression for a message, on one line and at most 160 characters.
func shortened(source string) string {
	source = strings.Join(strings.Fields(source), " ")
	if utf8.RuneCountInString(source) > 160 {
		return characters(source, 0, 160) + "…"
	}
	return source
}
