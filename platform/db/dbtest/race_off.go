//go:build !race

package dbtest

// Race reports whether the race detector watches this program.
const Race = false
