package definition

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// decodeExact decodes JSON with its numbers as they are written (json.Number).
func decodeExact(raw []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, fmt.Errorf("read JSON: %w", err)
	}
	return v, nil
}

// encode returns JSON on one line, with sorted keys and without escaping <, > and &.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("write JSON: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// forExpressions converts whole numbers to ints where that preserves every character. Other numbers stay as they are
// written until they are used in a calculation.
func forExpressions(v any) any {
	switch v := v.(type) {
	case json.Number:
		if i, err := strconv.Atoi(string(v)); err == nil && strconv.Itoa(i) == string(v) {
			return i
		}
	case []any:
		for i := range v {
			v[i] = forExpressions(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = forExpressions(v[k])
		}
	}
	return v
}

// significant returns a number's digits without sign, point, exponent, and leading and trailing zeros.
func significant(s string) string {
	digits, _, _ := strings.Cut(strings.ToLower(s), "e")
	return strings.Trim(strings.Replace(strings.TrimPrefix(digits, "-"), ".", "", 1), "0")
}

// kindOf returns the name of the type of a JSON value or an expression's value.
func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case string:
		return "a string"
	case bool:
		return "a boolean"
	case json.Number, int, float64:
		return "a number"
	case []any:
		return "an array"
	}
	return "an object"
}
