package app

import (
	"fmt"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/sluiceworks/sluice/platform/terminal"
)

// narrowest is the minimum width of an elastic column, in characters.
const narrowest = 10

// printFitted is printTable with lines that fit the width of a terminal. It cuts the columns whose headings are in
// elastic, the widest first, and cuts what is still too long at the edge. Without a terminal it cuts nothing, because
// a program may read the output.
func printFitted(w *terminal.Writer, heading []string, rows [][]string, elastic ...string) {
	width, _, ok := w.Size()
	if !ok || width < 20 {
		printTable(w, heading, rows)
		return
	}
	fmt.Fprintln(w, renderTable(heading, fit(heading, rows, width, elastic), width))
}

// printWithErrors is printFitted for rows that end with an error. If the lines would be too long, each error is
// printed on the line below its row. The errors are what people look for, and a column at the edge would show only
// their first letters.
func printWithErrors(w *terminal.Writer, heading []string, rows [][]string, elastic ...string) {
	width, _, ok := w.Size()
	whole := renderTable(heading, rows, 0)
	if !ok || width < 20 || widestLine(whole) <= width {
		printFitted(w, heading, rows, elastic...)
		return
	}
	last := len(heading) - 1
	heading, short := heading[:last], make([][]string, len(rows))
	for i, row := range rows {
		short[i] = row[:last]
	}
	lines := strings.Split(renderTable(heading, fit(heading, short, width, elastic), width), "\n")
	for i, line := range lines {
		fmt.Fprintln(w, line)
		if i > 0 && rows[i-1][last] != "" {
			fmt.Fprintln(w, "  "+text.Snip(terminal.Inline(rows[i-1][last]), width-len("  "), "…"))
		}
	}
}

// widestLine returns the width of the widest line of a text.
func widestLine(s string) int {
	widest := 0
	for line := range strings.Lines(s) {
		widest = max(widest, text.StringWidthWithoutEscSequences(strings.TrimSuffix(line, "\n")))
	}
	return widest
}

// fit cuts the elastic columns so that the table fits a width, as far as that is possible.
func fit(heading []string, rows [][]string, width int, elastic []string) [][]string {
	const between = 2
	widths := make([]int, len(heading))
	for _, row := range append([][]string{heading}, rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], text.StringWidthWithoutEscSequences(terminal.Inline(cell)))
		}
	}
	over := -width
	for _, n := range widths {
		over += n + between
	}
	limits := slices.Clone(widths)
	for ; over > 0; over-- {
		widest := -1
		for i, name := range heading {
			if slices.Contains(elastic, name) && limits[i] > max(narrowest, len(name)) &&
				(widest < 0 || limits[i] > limits[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			break
		}
		limits[widest]--
	}
	out := make([][]string, len(rows))
	for r, row := range rows {
		out[r] = slices.Clone(row)
		for i := range row {
			if limits[i] < widths[i] {
				out[r][i] = text.Snip(terminal.Inline(row[i]), limits[i], "…")
			}
		}
	}
	return out
}
