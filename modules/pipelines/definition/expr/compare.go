package expr

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/sluiceworks/sluice/platform/jsonvalue"
)

var errDeep = fmt.Errorf("%w: lists and objects are nested deeper than %d", errBudget, maxValueDepth)

// equal reports whether two values are equal. Numbers are compared exactly.
func (m *meter) equal(a, b any, depth int) (bool, error) {
	if depth > maxValueDepth {
		return false, errDeep
	}
	if err := m.step(1); err != nil {
		return false, err
	}
	switch x := a.(type) {
	case string:
		y, ok := b.(string)
		if !ok || len(x) != len(y) {
			return false, nil
		}
		return x == y, m.scan(len(x))
	case []any:
		return m.equalLists(x, b, depth)
	case map[string]any:
		return m.equalObjects(x, b, depth)
	case bool, nil:
		return a == b, nil
	}
	return isNumber(b) && compareNumbers(a, b) == 0, nil
}

func (m *meter) equalLists(x []any, b any, depth int) (bool, error) {
	y, ok := b.([]any)
	if !ok || len(x) != len(y) {
		return false, nil
	}
	for i := range x {
		if same, err := m.equal(x[i], y[i], depth+1); err != nil || !same {
			return false, err
		}
	}
	return true, nil
}

func (m *meter) equalObjects(x map[string]any, b any, depth int) (bool, error) {
	y, ok := b.(map[string]any)
	if !ok || len(x) != len(y) {
		return false, nil
	}
	for k, v := range x {
		w, ok := y[k]
		if !ok {
			return false, nil
		}
		if same, err := m.equal(v, w, depth+1); err != nil || !same {
			return false, err
		}
	}
	return true, nil
}

// compare compares two numbers or two strings. The result is negative, 0 or positive. Other types are an error.
func (m *meter) compare(a, b any) (int, error) {
	x, ok := a.(string)
	y, also := b.(string)
	switch {
	case ok && also:
		return strings.Compare(x, y), m.scan(min(len(x), len(y)))
	case isNumber(a) && isNumber(b):
		return compareNumbers(a, b), m.step(1)
	}
	return 0, fmt.Errorf("invalid operation: %s cannot be compared with %s", jsonvalue.Kind(a), jsonvalue.Kind(b))
}

// ordered evaluates the operators < <= > and >=. A comparison with null is false.
func (m *meter) ordered(operator string, a, b any) (any, error) {
	if a == nil || b == nil {
		return false, nil
	}
	sign, err := m.compare(a, b)
	switch operator {
	case "<":
		return sign < 0, err
	case "<=":
		return sign <= 0, err
	case ">":
		return sign > 0, err
	}
	return sign >= 0, err
}

// in reports whether a list contains a value, or an object a key.
func (m *meter) in(a, b any) (any, error) {
	switch b := b.(type) {
	case nil:
		return false, nil
	case []any:
		for i := range b {
			if same, err := m.equal(a, b[i], 0); err != nil || same {
				return same, err
			}
		}
		return false, nil
	case map[string]any:
		k, ok := a.(string)
		if !ok {
			return false, nil
		}
		_, found := b[k]
		return found, nil
	}
	return nil, fmt.Errorf("in takes a list or an object, not %s", jsonvalue.Kind(b))
}

// documentKey is the key of a list or an object, and exactKey that of a number that is neither an int nor a float64.
// They are distinct types so that they equal no string.
type (
	documentKey string
	exactKey    string
)

// key returns a comparable value, usable as a key of a Go map. Equal values have equal keys.
func (m *meter) key(v any) (any, error) {
	switch v := calculable(v).(type) {
	case float64:
		if v == math.Trunc(v) {
			if i, err := truncate(v); err == nil {
				return i, nil
			}
		}
		return v, nil
	case json.Number:
		return exactKey(rational(v).RatString()), nil
	case []any, map[string]any:
		e := encoder{m: m, canonical: true}
		err := e.value(v, 0)
		return documentKey(e.b), err
	default:
		return v, nil
	}
}

// encoder writes JSON on one line, with sorted keys and without escaping <, > and &.
type encoder struct {
	m         *meter
	b         []byte
	canonical bool // equal numbers have equal text
}

func (e *encoder) value(v any, depth int) error {
	if depth > maxValueDepth {
		return errDeep
	}
	if err := e.m.alloc(24); err != nil {
		return err
	}
	switch v := v.(type) {
	case nil:
		e.b = append(e.b, "null"...)
	case bool:
		e.b = strconv.AppendBool(e.b, v)
	case string:
		return e.string(v)
	case int, float64, json.Number:
		return e.number(v)
	case []any:
		return e.list(v, depth)
	case map[string]any:
		return e.object(v, depth)
	default:
		return errors.New("the value is not JSON")
	}
	return nil
}

func (e *encoder) number(v any) error {
	if e.canonical {
		k, err := e.m.key(v)
		e.b = fmt.Append(e.b, k)
		return err
	}
	if i, ok := v.(int); ok {
		e.b = strconv.AppendInt(e.b, int64(i), 10)
		return nil
	}
	b, err := jsonvalue.Encode(v)
	e.b = append(e.b, b...)
	return err
}

func (e *encoder) string(s string) error {
	if err := e.m.text(len(s)); err != nil {
		return err
	}
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			if err := e.m.text(6 * len(s)); err != nil {
				return err
			}
			b, err := jsonvalue.Encode(s)
			e.b = append(e.b, b...)
			return err
		}
	}
	e.b = append(append(append(e.b, '"'), s...), '"')
	return nil
}

func (e *encoder) list(v []any, depth int) error {
	e.b = append(e.b, '[')
	for i := range v {
		if i > 0 {
			e.b = append(e.b, ',')
		}
		if err := e.value(v[i], depth+1); err != nil {
			return err
		}
	}
	e.b = append(e.b, ']')
	return nil
}

func (e *encoder) object(v map[string]any, depth int) error {
	keys, err := e.m.keys(v)
	if err != nil {
		return err
	}
	e.b = append(e.b, '{')
	for i, k := range keys {
		if i > 0 {
			e.b = append(e.b, ',')
		}
		if err := e.string(k); err != nil {
			return err
		}
		e.b = append(e.b, ':')
		if err := e.value(v[k], depth+1); err != nil {
			return err
		}
	}
	e.b = append(e.b, '}')
	return nil
}

// json returns a value as JSON.
func (m *meter) json(v any) ([]byte, error) {
	e := encoder{m: m}
	err := e.value(v, 0)
	return e.b, err
}

// render returns a value as part of a text: a string as it is, another value as JSON. Null is an error.
func (m *meter) render(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case nil:
		return "", errNull
	}
	b, err := m.json(v)
	return string(b), err
}

var errNull = errors.New(
	`the value is null, which is no text: write ?? for what is to stand there instead, such as ?? ""`)
