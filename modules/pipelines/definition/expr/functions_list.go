package expr

import (
	"maps"
	"slices"
	"unicode/utf8"

	"github.com/sluiceworks/sluice/platform/jsonvalue"
)

var listFunctions = []function{
	{name: "len", minArgs: 1, maxArgs: 1, plain: func(m *meter, args []any) (any, error) { return m.length(args[0]) }},
	{
		name: "first", minArgs: 1, maxArgs: 1,
		plain: func(m *meter, args []any) (any, error) { return elementOf(args, func(n int) int { return 0 }) },
	},
	{
		name: "last", minArgs: 1, maxArgs: 1,
		plain: func(m *meter, args []any) (any, error) { return elementOf(args, func(n int) int { return n - 1 }) },
	},
	{name: "take", minArgs: 2, maxArgs: 2, plain: take},
	{name: "reverse", minArgs: 1, maxArgs: 1, plain: reverse},
	{name: "uniq", minArgs: 1, maxArgs: 1, plain: uniq},
	{name: "concat", minArgs: 1, maxArgs: -1, plain: concat},
	{name: "flatten", minArgs: 1, maxArgs: 1, plain: func(m *meter, args []any) (any, error) {
		list, err := listAt(args, 0)
		if err != nil {
			return nil, err
		}
		return flatten(m, []any{}, list, 0)
	}},
	{name: "sort", minArgs: 1, maxArgs: 2, plain: sortList},
}

var objectFunctions = []function{
	{name: "keys", minArgs: 1, maxArgs: 1, plain: ofObject(func(k string, _ any) any { return k })},
	{name: "values", minArgs: 1, maxArgs: 1, plain: ofObject(func(_ string, v any) any { return v })},
	{name: "toPairs", minArgs: 1, maxArgs: 1, plain: ofObject(func(k string, v any) any { return []any{k, v} })},
	{name: "fromPairs", minArgs: 1, maxArgs: 1, plain: fromPairs},
	{name: "get", minArgs: 2, maxArgs: 2, plain: get},
	{
		name: "type", minArgs: 1, maxArgs: 1,
		plain: func(_ *meter, args []any) (any, error) { return typeName(args[0]), nil },
	},
}

// length returns the number of elements of a list, keys of an object or characters of a string.
func (m *meter) length(v any) (int, error) {
	switch v := v.(type) {
	case string:
		return utf8.RuneCountInString(v), m.scan(len(v))
	case []any:
		return len(v), nil
	case map[string]any:
		return len(v), nil
	}
	return 0, wrongArgument("a list, an object or a string is needed, not %s", jsonvalue.Kind(v))
}

func elementOf(args []any, index func(n int) int) (any, error) {
	if args[0] == nil {
		return nil, nil
	}
	list, err := listAt(args, 0)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return list[index(len(list))], nil
}

func take(_ *meter, args []any) (any, error) {
	list, err := listAt(args, 0)
	if err != nil {
		return nil, err
	}
	n, err := quantity(args[1], "elements")
	if err != nil {
		return nil, err
	}
	return slices.Clip(list[:min(n, len(list))]), nil
}

func reverse(m *meter, args []any) (any, error) {
	list, err := listAt(args, 0)
	if err == nil {
		err = m.list(len(list))
	}
	if err != nil {
		return nil, err
	}
	out := slices.Clone(list)
	slices.Reverse(out)
	return out, nil
}

func uniq(m *meter, args []any) (any, error) {
	list, err := listAt(args, 0)
	if err == nil {
		err = m.alloc(times(len(list), 64))
	}
	if err != nil {
		return nil, err
	}
	seen, out := make(map[any]bool, len(list)), make([]any, 0, len(list))
	for _, v := range list {
		if s, ok := v.(string); ok {
			err = m.scan(len(s))
		} else {
			err = m.step(2)
		}
		if err != nil {
			return nil, err
		}
		k, err := m.key(v)
		if err != nil {
			return nil, err
		}
		if !seen[k] {
			seen[k] = true
			out = append(out, v)
		}
	}
	return out, nil
}

func concat(m *meter, args []any) (any, error) {
	size := 0
	for i := range args {
		list, err := listAt(args, i)
		if err != nil {
			return nil, err
		}
		size += len(list)
	}
	if err := m.list(size); err != nil {
		return nil, err
	}
	out := make([]any, 0, size)
	for _, a := range args {
		out = append(out, a.([]any)...)
	}
	return out, nil
}

func flatten(m *meter, out, list []any, depth int) ([]any, error) {
	if depth > maxValueDepth {
		return nil, errDeep
	}
	if err := m.alloc(times(len(list), 32) + 16); err != nil {
		return nil, err
	}
	if err := m.step(int64(len(list)) + 1); err != nil {
		return nil, err
	}
	for _, v := range list {
		inner, ok := v.([]any)
		if !ok {
			out = append(out, v)
			continue
		}
		var err error
		if out, err = flatten(m, out, inner, depth+1); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// sortList sorts numbers or strings. The sort is stable.
func sortList(m *meter, args []any) (any, error) {
	list, err := listAt(args, 0)
	if err != nil {
		return nil, err
	}
	return m.sorted(list, list, args[1:])
}

// sorted returns a list sorted by keys. order is empty or contains "asc" or "desc".
func (m *meter) sorted(list, keys []any, order []any) (any, error) {
	sign := 1
	if len(order) > 0 {
		switch order[0] {
		case "asc":
		case "desc":
			sign = -1
		default:
			return nil, wrongArgument(`the order is "asc" or "desc"`)
		}
	}
	if err := m.sorting(len(list)); err != nil {
		return nil, err
	}
	if err := m.alloc(times(len(list), 40)); err != nil {
		return nil, err
	}
	places := make([]int, len(list))
	for i := range places {
		places[i] = i
	}
	var failed error
	slices.SortStableFunc(places, func(i, j int) int {
		if failed != nil {
			return 0
		}
		var c int
		x, y := keys[i], keys[j]
		if isNumber(x) && isNumber(y) { // counted by sorting
			c = compareNumbers(x, y)
		} else {
			c, failed = m.compare(x, y)
		}
		return sign * c
	})
	out := make([]any, len(list))
	for i, p := range places {
		out[i] = list[p]
	}
	return out, failed
}

// keys returns the keys of an object, sorted.
func (m *meter) keys(v map[string]any) ([]string, error) {
	if err := m.list(len(v)); err != nil {
		return nil, err
	}
	if err := m.sorting(len(v)); err != nil {
		return nil, err
	}
	return slices.Sorted(maps.Keys(v)), nil
}

func ofObject(f func(k string, v any) any) func(*meter, []any) (any, error) {
	return func(m *meter, args []any) (any, error) {
		o, err := objectAt(args, 0)
		if err != nil {
			return nil, err
		}
		keys, err := m.keys(o)
		if err == nil {
			err = m.alloc(times(len(keys), 88))
		}
		if err != nil {
			return nil, err
		}
		out := make([]any, len(keys))
		for i, k := range keys {
			out[i] = f(k, o[k])
		}
		return out, nil
	}
}

func fromPairs(m *meter, args []any) (any, error) {
	list, err := listAt(args, 0)
	if err == nil {
		err = m.object(len(list))
	}
	if err != nil {
		return nil, err
	}
	out := make(map[string]any, len(list))
	for i, v := range list {
		pair, ok := v.([]any)
		if !ok || len(pair) != 2 {
			return nil, wrongArgument("element %d is not a list of a key and a value", i)
		}
		k, ok := pair[0].(string)
		if !ok {
			return nil, wrongArgument("the key of element %d is %s, not a string", i, jsonvalue.Kind(pair[0]))
		}
		out[k] = pair[1]
	}
	return out, nil
}

// get returns a key of an object or an element of a list, or null if it does not exist.
func get(m *meter, args []any) (any, error) {
	r, _, err := (&evaluator{meter: m}).at(args[0], args[1])
	return r, err
}
