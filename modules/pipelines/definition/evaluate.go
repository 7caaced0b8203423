package definition

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"
)

// evaluator walks the tree of one expression. The expression library parses and checks; its own machine is not used because it bounds
// neither the time nor the memory of most of its functions, and rounds whole numbers.
type evaluator struct {
	*meter
	e      *expression
	values *Values
	locals []local     // of let, the innermost last
	items  []iteration // of functions that go over a list, the innermost last
}

type local struct {
	name  string
	value any
}

// iteration is where a function stands in a list.
type iteration struct {
	index       int
	item        any
	accumulated any
}

// missingError is the reading of what is not there. ?? and ?. answer it.
type missingError struct{ what string }

func (e *missingError) Error() string {
	return e.what + `: write ?. or ?? if that may be so, such as a?.b or a.b ?? ""`
}

// errEndChain ends a chain with ?. whose value is not there.
var errEndChain = errors.New("the chain ends in null")

func (v *evaluator) eval(n ast.Node) (any, error) {
	if err := v.step(1); err != nil {
		return nil, err
	}
	switch n := n.(type) {
	case *ast.NilNode:
		return nil, nil
	case *ast.IntegerNode:
		return n.Value, nil
	case *ast.FloatNode:
		return n.Value, nil
	case *ast.BoolNode:
		return n.Value, nil
	case *ast.StringNode:
		return n.Value, nil
	case *ast.IdentifierNode:
		return v.name(n)
	case *ast.PointerNode:
		return v.pointer(n)
	case *ast.UnaryNode:
		return v.unary(n)
	case *ast.BinaryNode:
		return v.binary(n)
	case *ast.ChainNode:
		r, err := v.eval(n.Node)
		if errors.Is(err, errEndChain) {
			return nil, nil
		}
		return r, err
	case *ast.MemberNode:
		return v.member(n)
	case *ast.SliceNode:
		return v.slice(n)
	}
	return v.evalCompound(n)
}

// evalCompound evaluates what has several parts.
func (v *evaluator) evalCompound(n ast.Node) (any, error) {
	switch n := n.(type) {
	case *ast.BuiltinNode:
		return v.call(n.Name, n.Arguments)
	case *ast.CallNode:
		if callee, ok := n.Callee.(*ast.IdentifierNode); ok {
			return v.call(callee.Value, n.Arguments)
		}
	case *ast.ConditionalNode:
		yes, err := v.boolean(n.Cond, "a condition")
		if err != nil {
			return nil, err
		}
		if yes {
			return v.eval(n.Exp1)
		}
		return v.eval(n.Exp2)
	case *ast.VariableDeclaratorNode:
		value, err := v.eval(n.Value)
		if err != nil {
			return nil, err
		}
		v.locals = append(v.locals, local{n.Name, value})
		r, err := v.eval(n.Expr)
		v.locals = v.locals[:len(v.locals)-1]
		return r, err
	case *ast.SequenceNode:
		var r any
		for _, part := range n.Nodes {
			var err error
			if r, err = v.eval(part); err != nil {
				return nil, err
			}
		}
		return r, nil
	case *ast.ArrayNode:
		return v.evalAll(n.Nodes)
	case *ast.MapNode:
		return v.evalObject(n)
	}
	return nil, fmt.Errorf("%s is not part of the language of expressions", n)
}

func (v *evaluator) evalAll(nodes []ast.Node) ([]any, error) {
	if err := v.list(len(nodes)); err != nil {
		return nil, err
	}
	out := make([]any, len(nodes))
	for i, n := range nodes {
		var err error
		if out[i], err = v.eval(n); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (v *evaluator) evalObject(n *ast.MapNode) (any, error) {
	if err := v.object(len(n.Pairs)); err != nil {
		return nil, err
	}
	out := make(map[string]any, len(n.Pairs))
	for _, p := range n.Pairs {
		pair := p.(*ast.PairNode)
		k, err := v.eval(pair.Key)
		if err != nil {
			return nil, err
		}
		name, ok := k.(string)
		if !ok {
			return nil, fmt.Errorf("the key of an object must be a string, not %s", kindOf(k))
		}
		if out[name], err = v.eval(pair.Value); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (v *evaluator) name(n *ast.IdentifierNode) (any, error) {
	for i := len(v.locals) - 1; i >= 0; i-- {
		if v.locals[i].name == n.Value {
			return v.locals[i].value, nil
		}
	}
	if r, ok := v.e.refs[n]; ok {
		return v.values.lookup(v.meter, r)
	}
	return nil, fmt.Errorf("unknown name %q", n.Value)
}

func (v *evaluator) pointer(n *ast.PointerNode) (any, error) {
	if len(v.items) == 0 {
		return nil, errors.New("# stands for an element of a list, within the function that goes over it")
	}
	switch i := &v.items[len(v.items)-1]; n.Name {
	case "":
		return i.item, nil
	case "index":
		return i.index, nil
	case "acc":
		return i.accumulated, nil
	}
	return nil, fmt.Errorf("unknown name #%s", n.Name)
}

func (v *evaluator) boolean(n ast.Node, what string) (bool, error) {
	r, err := v.eval(n)
	if err != nil {
		return false, err
	}
	b, ok := r.(bool)
	if !ok {
		return false, fmt.Errorf("%s must be true or false, not %s", what, kindOf(r))
	}
	return b, nil
}

func (v *evaluator) unary(n *ast.UnaryNode) (any, error) {
	if n.Operator == "!" || n.Operator == "not" {
		b, err := v.boolean(n.Node, "the operand of "+n.Operator)
		return !b, err
	}
	r, err := v.eval(n.Node)
	if err != nil {
		return nil, err
	}
	if n.Operator == "-" {
		return negate(r)
	}
	return operand(r)
}

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

// at reads a key of an object, an element of a list or a character of a string.
func (v *evaluator) at(base, key any) (r any, found bool, err error) {
	switch b := base.(type) {
	case nil:
		return nil, false, nil
	case map[string]any:
		k, ok := key.(string)
		if !ok {
			return nil, false, fmt.Errorf("the key of an object is a string, not %s", kindOf(key))
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
	return nil, false, fmt.Errorf("a key is read of a value that is no object: it is %s", kindOf(base))
}

func elementIndex(key any, length int) (int, error) {
	if _, ok := key.(string); ok {
		return 0, errors.New("a key is read of a value that is no object")
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

// characters is s from one character to before another.
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
	return nil, fmt.Errorf("a part can be taken of a list or a string, not of %s", kindOf(base))
}

// describe names what a node reads, for a message.
func (e *expression) describe(n ast.Node) string {
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

// shortened is the text of an expression, for a message.
func shortened(source string) string {
	source = strings.Join(strings.Fields(source), " ")
	if utf8.RuneCountInString(source) > 160 {
		return characters(source, 0, 160) + "…"
	}
	return source
}
