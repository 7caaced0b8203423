// Package suggest finds the name that was probably meant by an unknown one. A swap of two neighbouring letters counts
// as one edit, because it is the most frequent slip; the usual packages for the Levenshtein distance count it as two.
package suggest

import (
	"fmt"
	"strings"
)

// maxLength is the maximum length in bytes of a name for which a nearest one is searched, because the time grows with
// the product of the lengths.
const maxLength = 100

// Nearest returns the known name with the fewest edits from name, regardless of case, or the empty string if that takes
// edits of more than a third of the letters. Of several names with equally many edits it returns the first.
func Nearest(name string, known []string) string {
	if len(name) > maxLength {
		return ""
	}
	wrong := []rune(strings.ToLower(name))
	best, least := "", len(wrong)+1
	for _, k := range known {
		right := []rune(strings.ToLower(k))
		allowed := min(least-1, max(len(wrong), len(right))/3)
		if difference := len(right) - len(wrong); max(difference, -difference) > allowed {
			continue
		}
		if d := distance(wrong, right); d <= allowed {
			best, least = k, d
		}
	}
	return best
}

// Hint returns the hint for an unknown name: the nearest known one, or else the list of all if it has at most 30.
func Hint(name string, known []string) string {
	if best := Nearest(name, known); best != "" {
		return DidYouMean(best)
	}
	if len(known) == 0 || len(known) > 30 {
		return ""
	}
	return "known: " + strings.Join(known, ", ")
}

// DidYouMean returns the hint that names the name that was probably meant.
func DidYouMean(name string) string { return fmt.Sprintf("did you mean %q?", name) }

// distance returns the number of letters to insert, delete, replace or swap with a neighbour to turn a into b.
func distance(a, b []rune) int {
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
