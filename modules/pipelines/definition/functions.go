package definition

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"reflect"
	"slices"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/builtin"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/vm/runtime"
)

// newConfig is the language of expressions without what reads the clock or the machine's time zones, and with functions of ours
// for those whose result depends on the order of a map or rounds large integers: evaluated twice, an expression gives the same.
func newConfig() *conf.Config {
	c := conf.CreateNew()
	for _, name := range []string{"now", "date", "timezone", "duration"} {
		c.Disabled[name] = true
		delete(c.Builtins, name)
	}
	for name, f := range map[string]func(any) (any, error){
		"toJSON": toJSON, "fromJSON": fromJSON, "keys": sortedKeys, "values": sortedValues, "toPairs": sortedPairs,
	} {
		c.Disabled[name] = true
		delete(c.Builtins, name)
		c.Functions[name] = function(name, func(args ...any) (any, error) { return f(args[0]) }, new(func(any) any))
	}
	for operator, accept := range map[string]func(sign int) bool{
		"<": func(s int) bool { return s < 0 }, "<=": func(s int) bool { return s <= 0 },
		">": func(s int) bool { return s > 0 }, ">=": func(s int) bool { return s >= 0 },
	} {
		name := orderingPrefix + operator
		c.Functions[name] = function(name, func(args ...any) (any, error) { return ordered(args[0], args[1], accept) }, new(func(any, any) bool))
	}
	return c
}

func function(name string, f func(...any) (any, error), signature any) *builtin.Function {
	return &builtin.Function{Name: name, Func: f, Types: []reflect.Type{reflect.TypeOf(signature).Elem()}}
}

// orderingPrefix makes names that no expression can spell.
const orderingPrefix = "order "

// orderings replaces < <= > >= where the checker could not tell the operands' types: there one may be nil, from a key that an
// output lacks.
type orderings struct{}

func (orderings) Visit(node *ast.Node) {
	b, ok := (*node).(*ast.BinaryNode)
	if !ok || b.Operator != "<" && b.Operator != "<=" && b.Operator != ">" && b.Operator != ">=" {
		return
	}
	if definite(b.Left) && definite(b.Right) {
		return
	}
	ast.Patch(node, &ast.CallNode{
		Callee:    &ast.IdentifierNode{Value: orderingPrefix + b.Operator},
		Arguments: []ast.Node{b.Left, b.Right},
	})
}

func definite(n ast.Node) bool {
	switch n.Type().Kind() {
	case reflect.Int, reflect.Float64, reflect.String:
		return true
	}
	return false
}

// ordered compares two values: nil is neither smaller nor larger than anything, and large numbers are not rounded.
func ordered(a, b any, accept func(sign int) bool) (bool, error) {
	if a == nil || b == nil {
		return false, nil
	}
	x, xok := rational(a)
	y, yok := rational(b)
	switch {
	case xok && yok:
		return accept(x.Cmp(y)), nil
	case runtime.Less(a, b): // panics, as the operator does, where the two cannot be compared
		return accept(-1), nil
	case runtime.Less(b, a):
		return accept(1), nil
	}
	return accept(0), nil
}

// rational gives a number exactly. Numbers of JSON have been checked to be no larger than a thousand digits.
func rational(v any) (*big.Rat, bool) {
	switch v := v.(type) {
	case int:
		return new(big.Rat).SetInt64(int64(v)), true
	case float64:
		r := new(big.Rat).SetFloat64(v)
		return r, r != nil
	case json.Number:
		if !storableNumber(string(v)) {
			return nil, false
		}
		return new(big.Rat).SetString(string(v))
	}
	return nil, false
}

func toJSON(v any) (any, error) {
	b, err := encode(v)
	return string(b), err
}

func fromJSON(v any) (any, error) {
	s, ok := v.(string)
	if !ok {
		return nil, fmt.Errorf("fromJSON takes a string, not %s", kindOf(v))
	}
	if err := CheckJSON([]byte(s), MaxInput); err != nil {
		return nil, fmt.Errorf("fromJSON: %w", err)
	}
	out, err := decodeExact([]byte(s))
	return forExpressions(out), err
}

func object(v any) (map[string]any, []string, error) {
	m, ok := v.(map[string]any)
	if !ok {
		return nil, nil, fmt.Errorf("it takes an object, not %s", kindOf(v))
	}
	return m, slices.Sorted(maps.Keys(m)), nil
}

func sortedKeys(v any) (any, error) {
	_, keys, err := object(v)
	return collect(keys, func(k string) any { return k }), err
}

func sortedValues(v any) (any, error) {
	m, keys, err := object(v)
	return collect(keys, func(k string) any { return m[k] }), err
}

func sortedPairs(v any) (any, error) {
	m, keys, err := object(v)
	return collect(keys, func(k string) any { return []any{k, m[k]} }), err
}

func collect(keys []string, of func(string) any) []any {
	out := make([]any, len(keys))
	for i, k := range keys {
		out[i] = of(k)
	}
	return out
}
