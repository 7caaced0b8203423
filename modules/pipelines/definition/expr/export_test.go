package expr

import (
	"maps"
	"slices"
)

// FunctionNames returns the names of all functions that expressions may call, sorted.
func FunctionNames() []string { return slices.Sorted(maps.Keys(functions)) }
