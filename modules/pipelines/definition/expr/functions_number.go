package expr

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/sluiceworks/sluice/platform/jsonvalue"
)

var numberFunctions = []function{
	{name: "abs", minArgs: 1, maxArgs: 1, plain: absolute},
	{name: "ceil", minArgs: 1, maxArgs: 1, plain: rounding(math.Ceil)},
	{name: "floor", minArgs: 1, maxArgs: 1, plain: rounding(math.Floor)},
	{name: "round", minArgs: 1, maxArgs: 1, plain: rounding(math.Round)},
	{name: "int", minArgs: 1, maxArgs: 1, plain: toInt},
	{name: "float", minArgs: 1, maxArgs: 1, plain: toFloat},
	{name: "max", minArgs: 1, maxArgs: -1, plain: extreme(1)},
	{name: "min", minArgs: 1, maxArgs: -1, plain: extreme(-1)},
	{name: "mean", minArgs: 1, maxArgs: -1, plain: mean},
	{name: "median", minArgs: 1, maxArgs: -1, plain: median},
}

func absolute(_ *meter, args []any) (any, error) {
	n, err := operand(args[0])
	if err == nil && compareNumbers(n, 0) < 0 {
		return negate(n)
	}
	return n, err
}

func rounding(f func(float64) float64) func(*meter, []any) (any, error) {
	return func(_ *meter, args []any) (any, error) {
		n, err := operand(args[0])
		if err != nil {
			return nil, err
		}
		x, ok := n.(float64)
		if !ok {
			return n, nil
		}
		if x = f(x); math.Abs(x) < 1<<53 {
			return int(x), nil
		}
		return x, nil
	}
}

func toInt(m *meter, args []any) (any, error) {
	v := args[0]
	if s, ok := v.(string); ok {
		i, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
		if err != nil {
			return nil, wrongArgument("invalid whole number %.80q: must fit 64 bits", s)
		}
		return int(i), m.scan(len(s))
	}
	n, err := operand(v)
	if err != nil {
		return nil, err
	}
	if f, ok := n.(float64); ok {
		return truncate(f)
	}
	return n, nil
}

func toFloat(m *meter, args []any) (any, error) {
	v := args[0]
	if s, ok := v.(string); ok {
		f, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
		if err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
			return nil, wrongArgument("%.80q is not a number", s)
		}
		return f, m.scan(len(s))
	}
	n, err := operand(v)
	if err != nil {
		return nil, err
	}
	return float(n)
}

// numbers returns the numbers in the arguments, each of which must be a number or a list of numbers.
func numbers(m *meter, args []any, depth int) ([]any, error) {
	if depth > maxValueDepth {
		return nil, errDeep
	}
	if err := m.list(len(args)); err != nil {
		return nil, err
	}
	out := make([]any, 0, len(args))
	for _, a := range args {
		list, ok := a.([]any)
		if !ok {
			if !isNumber(a) {
				return nil, wrongArgument("it takes numbers, not %s", jsonvalue.Kind(a))
			}
			out = append(out, a)
			continue
		}
		inner, err := numbers(m, list, depth+1)
		if err != nil {
			return nil, err
		}
		out = append(out, inner...)
	}
	return out, m.step(int64(len(out)))
}

func extreme(sign int) func(*meter, []any) (any, error) {
	return func(m *meter, args []any) (any, error) {
		list, err := numbers(m, args, 0)
		if err != nil || len(list) == 0 {
			return nil, err
		}
		return slices.MaxFunc(list, func(a, b any) int { return sign * compareNumbers(a, b) }), nil
	}
}

func mean(m *meter, args []any) (any, error) {
	list, err := numbers(m, args, 0)
	if err != nil || len(list) == 0 {
		return 0.0, err
	}
	total, err := total(list)
	if err != nil {
		return nil, err
	}
	return calculate("/", total, len(list))
}

func total(list []any) (any, error) {
	var sum any = 0
	for _, n := range list {
		var err error
		if sum, err = calculate("+", sum, n); err != nil {
			return nil, err
		}
	}
	return sum, nil
}

func median(m *meter, args []any) (any, error) {
	list, err := numbers(m, args, 0)
	if err != nil || len(list) == 0 {
		return 0.0, err
	}
	if err := m.sorting(len(list)); err != nil {
		return nil, err
	}
	slices.SortFunc(list, compareNumbers)
	middle := list[len(list)/2]
	if len(list)%2 == 1 {
		if _, exact := middle.(json.Number); exact {
			return operand(middle)
		}
		return middle, nil
	}
	sum, err := calculate("+", list[len(list)/2-1], middle)
	if err != nil {
		return nil, err
	}
	return calculate("/", sum, 2)
}

// quantity returns a whole number that is not negative. what names the things that it counts, for the error.
func quantity(v any, what string) (int, error) {
	n, err := whole(v)
	if err == nil && n < 0 {
		err = wrongArgument("the number of %s is negative: %d", what, n)
	}
	return n, err
}
