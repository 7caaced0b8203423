package expr

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"

	"github.com/expr-lang/expr/ast"

	"github.com/sluiceworks/sluice/platform/jsonvalue"
)

// binary evaluates a binary operator. &&, || and ?? evaluate their right side only if it is needed.
func (v *evaluator) binary(n *ast.BinaryNode) (any, error) {
	switch n.Operator {
	case "&&", "and", "||", "or":
		left, err := v.boolean(n.Left, "the left side of "+n.Operator)
		if stop := n.Operator == "||" || n.Operator == "or"; err != nil || left == stop {
			return left, err
		}
		return v.boolean(n.Right, "the right side of "+n.Operator)
	case "??":
		left, err := v.eval(n.Left)
		if missing := new(missingError); errors.As(err, &missing) || err == nil && left == nil {
			return v.eval(n.Right)
		}
		return left, err
	}
	left, err := v.eval(n.Left)
	if err != nil {
		return nil, err
	}
	right, err := v.eval(n.Right)
	if err != nil {
		return nil, err
	}
	r, err := v.apply(n, left, right)
	if err != nil && !errors.Is(err, errBudget) && isArithmetic(n.Operator) && !(isNumber(left) && isNumber(right)) {
		return nil, fmt.Errorf("invalid operation: %s %s %s", jsonvalue.Kind(left), n.Operator, jsonvalue.Kind(right))
	}
	return r, err
}

func isArithmetic(operator string) bool { return strings.Contains("+ - * / % ** ^", operator) }

func (v *evaluator) apply(n *ast.BinaryNode, a, b any) (any, error) {
	switch n.Operator {
	case "==":
		return v.equal(a, b, 0)
	case "!=":
		same, err := v.equal(a, b, 0)
		return !same, err
	case "<", "<=", ">", ">=":
		return v.ordered(n.Operator, a, b)
	case "in":
		return v.in(a, b)
	case "contains", "startsWith", "endsWith", "matches":
		return v.texts(n, a, b)
	case "..":
		return v.span(a, b)
	case "+":
		if x, ok := a.(string); ok {
			if y, ok := b.(string); ok {
				return x + y, v.text(len(x) + len(y))
			}
		}
	}
	return calculate(n.Operator, a, b)
}

// span returns the list of the whole numbers from a to b, inclusive.
func (v *evaluator) span(a, b any) (any, error) {
	from, err := whole(a)
	if err != nil {
		return nil, err
	}
	to, err := whole(b)
	if err != nil {
		return nil, err
	}
	if to < from {
		return []any{}, nil
	}
	n := uint64(to) - uint64(from) + 1
	if n == 0 || n > uint64(v.maxSteps.memory) {
		return nil, v.alloc(-1)
	}
	if err := v.alloc(int64(n) * 24); err != nil {
		return nil, err
	}
	out := make([]any, n)
	for i := range out {
		out[i] = from + i
	}
	return out, nil
}

// texts applies an operator to two strings. The result for null is false.
func (v *evaluator) texts(n *ast.BinaryNode, a, b any) (any, error) {
	if a == nil || b == nil {
		return false, nil
	}
	x, ok := a.(string)
	y, also := b.(string)
	if !ok || !also {
		return nil, fmt.Errorf("invalid operation: %s takes strings, not %s and %s", n.Operator, jsonvalue.Kind(a),
			jsonvalue.Kind(b))
	}
	if err := v.scan(len(x) + len(y)); err != nil {
		return nil, err
	}
	switch n.Operator {
	case "contains":
		return strings.Contains(x, y), nil
	case "startsWith":
		return strings.HasPrefix(x, y), nil
	case "endsWith":
		return strings.HasSuffix(x, y), nil
	}
	p := v.e.patterns[n]
	if p == nil {
		if err := v.step(patternSteps); err != nil {
			return nil, err
		}
		var err error
		if p, err = newPattern(y); err != nil {
			return nil, err
		}
	}
	if err := v.step(times(len(x), p.size) >> 3); err != nil {
		return nil, err
	}
	return p.MatchString(x), nil
}

const (
	maxRegexp      = 1000 // bytes of a regular expression
	maxRegexpParts = 2000 // parts of it, after its repetitions have been expanded
	patternSteps   = 20_000
)

// pattern is a regular expression and the maximum cost of matching one character of text.
type pattern struct {
	*regexp.Regexp
	size int
}

func newPattern(text string) (*pattern, error) {
	if len(text) > maxRegexp {
		return nil, fmt.Errorf("the regular expression has %d bytes, more than the limit of %d", len(text), maxRegexp)
	}
	tree, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, err
	}
	size := patternSize(tree)
	if size > maxRegexpParts {
		return nil, fmt.Errorf(
			"the regular expression has %d parts with its repetitions written out, more than the limit of %d", size,
			maxRegexpParts)
	}
	p, err := regexp.Compile(text)
	return &pattern{p, size}, err
}

func patternSize(t *syntax.Regexp) int {
	size := 1
	switch t.Op {
	case syntax.OpLiteral:
		size = len(t.Rune)
	case syntax.OpRepeat:
		return patternSize(t.Sub[0]) * max(t.Min, t.Max, 1)
	}
	for _, s := range t.Sub {
		size += patternSize(s)
	}
	return size
}
