package tasks

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
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

// suggest returns the hint for an unknown key: the most similar known key, or all known keys if none is similar.
func suggest(key string, known []string) string {
	if len(known) == 0 {
		return "it takes no keys"
	}
	best, least := "", max(len(key)/3, 1)+1
	for _, name := range known {
		if d := editDistance(strings.ToLower(key), strings.ToLower(name)); d < least {
			best, least = name, d
		}
	}
	if best != "" {
		return didYouMean(best)
	}
	return "known keys: " + strings.Join(slices.Sorted(slices.Values(known)), ", ")
}

func didYouMean(name string) string { return fmt.Sprintf("did you mean %q?", name) }

// editDistance returns the Damerau-Levenshtein distance between a and b: the number of characters to insert, delete,
// replace, or swap with their neighbour.
func editDistance(a, b string) int {
	s, t := []rune(a), []rune(b)
	rows := make([][]int, len(s)+1)
	for i := range rows {
		rows[i] = make([]int, len(t)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(s); i++ {
		for j := 1; j <= len(t); j++ {
			cost := 1
			if s[i-1] == t[j-1] {
				cost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && s[i-1] == t[j-2] && s[i-2] == t[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(s)][len(t)]
}
