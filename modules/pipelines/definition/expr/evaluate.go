package expr

import (
	"errors"
	"fmt"

	"github.com/expr-lang/expr/ast"

	"github.com/sluiceworks/sluice/platform/jsonvalue"
)

// evaluator evaluates the syntax tree of one expression. The expression library is used only to parse and check. Its
// own virtual machine bounds neither the time nor the memory of most of its functions, and it rounds integers.
type evaluator struct {
	*meter
	e      *Expression
	values *Values
	locals []local     // of let, innermost last
	items  []iteration // of functions that iterate over a list, innermost last
}

type local struct {
	name  string
	value any
}

// iteration is the position of a function in a list.
type iteration struct {
	index       int
	item        any
	accumulated any
}

// missingError is the error of reading a value that does not exist. ?? and ?. handle it.
type missingError struct{ what string }

func (e *missingError) Error() string {
	return e.what + `: write ?. or ?? if that may be so, such as a?.b or a.b ?? ""`
}

// errEndChain ends a chain at a ?. whose value does not exist. The chain is then null.
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

// evalCompound evaluates calls, conditionals, let, sequences, lists and objects.
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
			return nil, fmt.Errorf("the key of an object must be a string, not %s", jsonvalue.Kind(k))
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
		return false, fmt.Errorf("%s must be true or false, not %s", what, jsonvalue.Kind(r))
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
