package expr

import (
	"github.com/expr-lang/expr/ast"

	"github.com/sluiceworks/sluice/platform/jsonvalue"
)

// closureFunctions evaluate an expression for each element of a list. In it, # is the element and #index its index
// from 0.
var closureFunctions = []function{
	{name: "all", minArgs: 2, maxArgs: 2, closure: quantifier(func(holds, of int) bool { return holds == of }, false)},
	{name: "any", minArgs: 2, maxArgs: 2, closure: quantifier(func(holds, _ int) bool { return holds > 0 }, true)},
	{name: "none", minArgs: 2, maxArgs: 2, closure: quantifier(func(holds, _ int) bool { return holds == 0 }, true)},
	{name: "one", minArgs: 2, maxArgs: 2, closure: quantifier(func(holds, _ int) bool { return holds == 1 })},
	{name: "count", minArgs: 1, maxArgs: 2, closure: count},
	{name: "filter", minArgs: 2, maxArgs: 2, closure: filter},
	{name: "map", minArgs: 2, maxArgs: 2, closure: mapList},
	{name: "find", minArgs: 2, maxArgs: 2, closure: find(false, func(i int, v any) any { return v }, nil)},
	{name: "findLast", minArgs: 2, maxArgs: 2, closure: find(true, func(i int, v any) any { return v }, nil)},
	{name: "findIndex", minArgs: 2, maxArgs: 2, closure: find(false, func(i int, v any) any { return i }, -1)},
	{name: "findLastIndex", minArgs: 2, maxArgs: 2, closure: find(true, func(i int, v any) any { return i }, -1)},
	{name: "sum", minArgs: 1, maxArgs: 2, closure: sumOf},
	{name: "groupBy", minArgs: 2, maxArgs: 2, closure: groupBy},
	{name: "sortBy", minArgs: 2, maxArgs: 3, closure: sortBy},
	{name: "reduce", minArgs: 2, maxArgs: 3, closure: reduce},
}

// elements evaluates the first argument, which must be a list.
func (v *evaluator) elements(args []ast.Node) ([]any, error) {
	r, err := v.eval(args[0])
	if err != nil {
		return nil, err
	}
	list, ok := r.([]any)
	if !ok {
		return nil, wrongArgument("it takes a list, not %s", jsonvalue.Kind(r))
	}
	return list, nil
}

// predicate returns the body of the second argument, or nil if there is none.
func predicate(args []ast.Node) ast.Node {
	if len(args) < 2 {
		return nil
	}
	if p, ok := args[1].(*ast.PredicateNode); ok {
		return p.Node
	}
	return args[1]
}

// each evaluates the second argument for each element and calls do with the result, or with the element if there is
// no second argument. It goes from the last element to the first if backwards is true, and stops when do returns
// false.
func (v *evaluator) each(
	list []any, args []ast.Node, backwards bool, do func(i int, r any) (more bool, err error),
) error {
	body := predicate(args)
	v.items = append(v.items, iteration{})
	depth := len(v.items)
	defer func() { v.items = v.items[:depth-1] }()
	for n := range list {
		i := n
		if backwards {
			i = len(list) - 1 - n
		}
		r := list[i]
		if body != nil {
			v.items[depth-1] = iteration{index: i, item: list[i]}
			var err error
			if r, err = v.eval(body); err != nil {
				return err
			}
		} else if err := v.step(1); err != nil {
			return err
		}
		if more, err := do(i, r); err != nil || !more {
			return err
		}
	}
	return nil
}

// holds counts the elements for which the second argument is true. It stops after the first element for which it
// equals stop, if given.
func (v *evaluator) holds(list []any, args []ast.Node, stop ...bool) (n int, err error) {
	err = v.each(list, args, false, func(_ int, r any) (bool, error) {
		yes, ok := r.(bool)
		if !ok {
			return false, wrongArgument("the condition must be true or false, not %s", jsonvalue.Kind(r))
		}
		if yes {
			n++
		}
		return len(stop) == 0 || yes != stop[0], nil
	})
	return n, err
}

func quantifier(decide func(holds, of int) bool, stop ...bool) func(*evaluator, []ast.Node) (any, error) {
	return func(v *evaluator, args []ast.Node) (any, error) {
		list, err := v.elements(args)
		if err != nil {
			return nil, err
		}
		n, err := v.holds(list, args, stop...)
		return decide(n, len(list)), err
	}
}

func count(v *evaluator, args []ast.Node) (any, error) {
	list, err := v.elements(args)
	if err != nil {
		return nil, err
	}
	return v.holds(list, args)
}

func filter(v *evaluator, args []ast.Node) (any, error) {
	list, err := v.elements(args)
	if err == nil {
		err = v.list(len(list))
	}
	if err != nil {
		return nil, err
	}
	out := make([]any, 0, len(list))
	err = v.each(list, args, false, func(i int, r any) (bool, error) {
		yes, ok := r.(bool)
		if !ok {
			return false, wrongArgument("the condition must be true or false, not %s", jsonvalue.Kind(r))
		}
		if yes {
			out = append(out, list[i])
		}
		return true, nil
	})
	return out, err
}

// mapped returns the value of the second argument for each element.
func (v *evaluator) mapped(list []any, args []ast.Node) ([]any, error) {
	if err := v.alloc(times(len(list), 24) + 24); err != nil {
		return nil, err
	}
	out := make([]any, len(list))
	err := v.each(list, args, false, func(i int, r any) (bool, error) {
		out[i] = r
		return true, nil
	})
	return out, err
}

func mapList(v *evaluator, args []ast.Node) (any, error) {
	list, err := v.elements(args)
	if err != nil {
		return nil, err
	}
	return v.mapped(list, args)
}

func find(backwards bool, result func(i int, v any) any, none any) func(*evaluator, []ast.Node) (any, error) {
	return func(v *evaluator, args []ast.Node) (any, error) {
		list, err := v.elements(args)
		if err != nil {
			return nil, err
		}
		found := none
		err = v.each(list, args, backwards, func(i int, r any) (bool, error) {
			yes, ok := r.(bool)
			if !ok {
				return false, wrongArgument("the condition must be true or false, not %s", jsonvalue.Kind(r))
			}
			if yes {
				found = result(i, list[i])
			}
			return !yes, nil
		})
		return found, err
	}
}

func sumOf(v *evaluator, args []ast.Node) (any, error) {
	list, err := v.elements(args)
	if err != nil {
		return nil, err
	}
	var sum any = 0
	err = v.each(list, args, false, func(_ int, r any) (_ bool, err error) {
		sum, err = calculate("+", sum, r)
		return true, err
	})
	return sum, err
}

// groupBy groups the elements of a list by a key. A key that is not a string is converted to JSON.
func groupBy(v *evaluator, args []ast.Node) (any, error) {
	list, err := v.elements(args)
	if err == nil {
		err = v.alloc(times(len(list), 112))
	}
	if err != nil {
		return nil, err
	}
	out := map[string]any{}
	err = v.each(list, args, false, func(i int, r any) (bool, error) {
		k, err := textOf(v.meter, r)
		if err != nil {
			return false, err
		}
		group, _ := out[k].([]any)
		out[k] = append(group, list[i])
		return true, v.scan(len(k))
	})
	return out, err
}

func sortBy(v *evaluator, args []ast.Node) (any, error) {
	list, err := v.elements(args)
	if err != nil {
		return nil, err
	}
	keys, err := v.mapped(list, args)
	if err != nil {
		return nil, err
	}
	order, err := v.evalAll(args[2:])
	if err != nil {
		return nil, err
	}
	return v.sorted(list, keys, order)
}

// reduce combines the elements of a list into a value, #acc. It starts with the third argument, or else with the
// first element.
func reduce(v *evaluator, args []ast.Node) (any, error) {
	list, err := v.elements(args)
	if err != nil {
		return nil, err
	}
	var acc any
	from := 0
	switch {
	case len(args) == 3:
		if acc, err = v.eval(args[2]); err != nil {
			return nil, err
		}
	case len(list) == 0:
		return nil, wrongArgument(
			"of an empty list there is nothing to begin with: write the value to begin with as the third argument")
	default:
		acc, from = list[0], 1
	}
	body := predicate(args)
	v.items = append(v.items, iteration{})
	depth := len(v.items)
	defer func() { v.items = v.items[:depth-1] }()
	for i := from; i < len(list); i++ {
		v.items[depth-1] = iteration{index: i, item: list[i], accumulated: acc}
		if acc, err = v.eval(body); err != nil {
			return nil, err
		}
	}
	return acc, nil
}
