package definition

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// decodeExact reads JSON with its numbers as they are written (json.Number).
func decodeExact(raw []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, fmt.Errorf("read JSON: %w", err)
	}
	return v, nil
}

// encode writes JSON in one line with sorted keys and the characters <, > and & as they are.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("write JSON: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// forExpressions turns numbers into what expressions calculate with: int where it fits, float64 where that loses nothing. A
// number with more digits stays a json.Number: it can be passed on and compared, not calculated with.
func forExpressions(v any) any {
	switch v := v.(type) {
	case json.Number:
		return number(string(v))
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

func number(s string) any {
	if i, err := strconv.Atoi(s); err == nil {
		return i
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || significant(s) != significant(strconv.FormatFloat(f, 'e', -1, 64)) {
		return json.Number(s)
	}
	return f
}

// significant gives a number's digits without sign, point, exponent and zeros at either end.
func significant(s string) string {
	digits, _, _ := strings.Cut(strings.ToLower(s), "e")
	return strings.Trim(strings.Replace(strings.TrimPrefix(digits, "-"), ".", "", 1), "0")
}

// kindOf names the type of a JSON value, or of an expression's.
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
	case []any, []int:
		return "an array"
	}
	return "an object"
}
