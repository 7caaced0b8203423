package definition

import (
	"fmt"
	"slices"
	"strings"
)

// suggest returns a hint for an unknown name: the nearest known name, or else the list of all if it is short.
func suggest(name string, known []string) string {
	if best := nearest(name, known); best != "" {
		return fmt.Sprintf("did you mean %q?", best)
	}
	if len(known) == 0 || len(known) > 30 {
		return ""
	}
	return "known: " + strings.Join(known, ", ")
}

// nearest returns the known name with the fewest edits from name, or the empty string if that takes edits of more
// than a third of the letters.
func nearest(name string, known []string) string {
	if len(name) > 100 {
		return ""
	}
	best, least := "", len(name)+1
	for _, k := range known {
		allowed := min(least-1, max(len(name), len(k))/3)
		if abs(len(k)-len(name)) > allowed {
			continue
		}
		if d := editDistance(strings.ToLower(name), strings.ToLower(k)); d <= allowed {
			best, least = k, d
		}
	}
	return best
}

// editDistance returns the edit distance of a and b: the number of letters to insert, delete, replace or swap with a
// neighbor.
func editDistance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := last[j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			row[j] = min(change, last[j]+1, row[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

func abs(n int) int { return max(n, -n) }

// names converts the values of a closed set to strings.
func names[S ~string](values []S) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = string(v)
	}
	return out
}

func known[S ~string](v S, values []S) bool { return slices.Contains(values, v) }
