// Package jsonvalue reads, writes and checks JSON that sluice stores: inputs, outputs and settings of tasks. Numbers
// keep their digits, because 9007199254740993 and 1.10 must come back as they were written.
package jsonvalue

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// NewDecoder returns a decoder of raw that decodes numbers into an any as json.Number, with the digits as written. All
// code that reads stored JSON uses it, because float64 rounds large numbers.
func NewDecoder(raw []byte) *json.Decoder {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	return dec
}

// Decode decodes the first value in raw, with its numbers as json.Number.
func Decode(raw []byte) (any, error) {
	var v any
	if err := NewDecoder(raw).Decode(&v); err != nil {
		return nil, fmt.Errorf("read JSON: %w", err)
	}
	return v, nil
}

// Encode returns v as JSON on one line, with sorted keys and without escaping <, > and &.
func Encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("write JSON: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// MustEncode is Encode for values that JSON can always represent, such as those from Decode. It panics for others.
func MustEncode(v any) json.RawMessage {
	b, err := Encode(v)
	if err != nil {
		panic(err)
	}
	return b
}

// Kind returns what a decoded value is, for a message, such as "a string". A number may also be an int or a float64.
func Kind(v any) string {
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
