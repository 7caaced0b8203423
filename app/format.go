package app

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/sluiceworks/sluice/modules/inspect"
	"github.com/sluiceworks/sluice/platform/dbtype"
	"github.com/sluiceworks/sluice/platform/terminal"
)

// printJSON writes one document. Control characters, and characters that reorder text, are written as \u escapes.
func printJSON(w *terminal.Writer, v any) error {
	enc := json.NewEncoder(w.JSONLines())
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	return nil
}

// listDocument is the output of every command that lists something.
type listDocument[T any] struct {
	Items []T         `json:"items"`
	Next  dbtype.Text `json:"next"` // the --cursor for the next page; null: there is no more
}

// printList writes a list as one document. next is empty if the list is complete.
func printList[T any](w *terminal.Writer, items []T, next string) error {
	if items == nil {
		items = []T{}
	}
	return printJSON(w, listDocument[T]{items, dbtype.Text(next)})
}

// printTable writes rows under a heading, with aligned columns and without lines.
func printTable(w io.Writer, heading []string, rows [][]string) {
	fmt.Fprintln(w, renderTable(heading, rows, 0))
}

// renderTable returns the lines of a table. Lines longer than width are cut; width 0 cuts none.
func renderTable(heading []string, rows [][]string, width int) string {
	t := table.NewWriter()
	style := table.StyleDefault
	style.Options = table.OptionsNoBordersAndSeparators
	style.Box.PaddingLeft, style.Box.PaddingRight = "", "  "
	style.Format.Header = text.FormatUpper
	t.SetStyle(style)
	if width > 0 {
		t.Style().Size.WidthMax = width
		t.Style().Box.UnfinishedRow = "…"
	}
	t.AppendHeader(cells(heading))
	for _, r := range rows {
		t.AppendRow(cells(r))
	}
	t.SuppressTrailingSpaces()
	return t.Render()
}

func cells(values []string) table.Row {
	row := make(table.Row, len(values))
	for i, v := range values {
		row[i] = terminal.Inline(v) // before its width is computed
	}
	return row
}

// paint colours words for one stream.
type paint bool

// paintFor returns a paint that colours only on a terminal, and only if NO_COLOR is not set.
func paintFor(w *terminal.Writer) paint {
	_, refused := os.LookupEnv("NO_COLOR")
	return paint(w.IsTerminal() && !refused)
}

// status colours the status of a task, an attempt or a pipeline execution.
func (p paint) status(s string) string {
	code := map[string]string{
		"Completed": "32", "Running": "36", "Ready": "34", "Queued": "34", "Failed": "31", "Abandoned": "31",
		"Lost": "31", "Cancelled": "33", "Paused": "33",
		"Skipped": "2", "NotStarted": "2",
	}[s]
	if !p || code == "" {
		return s
	}
	return terminal.Paint(code, s)
}

// How durations, times, numbers and errors are written for people.
var (
	span      = inspect.Span
	moment    = inspect.Moment
	counted   = inspect.Counted
	errorLine = inspect.ErrorLine
)

// between returns the span from one time to another, or "" if one is missing.
func between(from, to dbtype.Time) string {
	if from.IsZero() || to.IsZero() {
		return ""
	}
	return span(to.Sub(from.Time))
}

// firstLine returns a text's first line, cut to a width of most characters.
func firstLine(s string, most int) string {
	line, rest, _ := strings.Cut(strings.TrimSpace(s), "\n")
	if line = text.Snip(terminal.Inline(line), most, "…"); rest != "" && !strings.HasSuffix(line, "…") {
		return line + " …"
	}
	return line
}

// indent puts a prefix in front of every line of a text.
func indent(s, prefix string) string {
	return prefix + strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", "\n"+prefix)
}

func msec(n int64) time.Duration { return time.Duration(n) * time.Millisecond }
