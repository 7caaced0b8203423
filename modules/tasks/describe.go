package tasks

import (
	"reflect"
	"slices"
	"strings"

	"github.com/sluiceworks/sluice/platform/suggest"
)

// describeValue returns the pipeline file's term for a type of value, given the term of encoding/json.
func describeValue(json string) string {
	switch json {
	case "string":
		return "a string"
	case "bool":
		return "true or false"
	case "array":
		return "a list"
	case "object":
		return "a mapping"
	case "number":
		return "a number"
	}
	return strings.Replace(json, "number", "the number", 1)
}

// typeName returns the pipeline file's term for the values that a Go type accepts.
func typeName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return "a whole number"
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "a whole number from 0"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Map, reflect.Struct:
		return "a mapping"
	case reflect.Pointer:
		return typeName(t.Elem())
	}
	return t.String()
}

// hintForKey returns the hint for an unknown key: the most similar known key, or all known keys if none is similar.
func hintForKey(key string, known []string) string {
	if len(known) == 0 {
		return "it takes no keys"
	}
	if best := suggest.Nearest(key, known); best != "" {
		return suggest.DidYouMean(best)
	}
	return "known keys: " + strings.Join(slices.Sorted(slices.Values(known)), ", ")
}
