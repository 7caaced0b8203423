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

	"github.com/sluiceworks/sluice/platform/db"
)

const (
	momentLayout = "2006-01-02 15:04:05"
	clockLayout  = "15:04:05.000"
)

// printJSON writes one document.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	return nil
}

// printTable writes rows under a heading, columns aligned, nothing drawn around them.
func printTable(w io.Writer, heading []string, rows [][]string) {
	fmt.Fprintln(w, renderTable(heading, rows, 0))
}

// renderTable gives the lines of a table. Lines longer than width are cut; width 0 cuts none.
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
		row[i] = v
	}
	return row
}

// paint colours words for one stream.
type paint bool

// paintFor is plain unless a person looks on and has not said otherwise.
func paintFor(w io.Writer) paint {
	_, refused := os.LookupEnv("NO_COLOR")
	return paint(isTerminal(w) && !refused)
}

// status colours the status of a task, an attempt or a pipeline execution.
func (p paint) status(s string) string {
	code := map[string]string{
		"Completed": "32", "Running": "36", "Ready": "34", "Failed": "31", "Abandoned": "31", "Lost": "31", "Cancelled": "33", "Paused": "33",
		"Skipped": "2", "NotStarted": "2",
	}[s]
	if !p || code == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// moment writes an instant for people, in their zone.
func moment(t db.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format(momentLayout)
}

func clock(t db.Time) string { return t.Local().Format(clockLayout) }

// span writes a duration in the two units that matter.
func span(d time.Duration) string {
	switch {
	case d < 0:
		return "0ms"
	case d < time.Second:
		return fmt.Sprintf("%dms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd%dh", int(d.Hours())/24, int(d.Hours())%24)
}

// between is the span from one instant to another; empty where one is missing.
func between(from, to db.Time) string {
	if from.IsZero() || to.IsZero() {
		return ""
	}
	return span(to.Sub(from.Time))
}

// firstLine is a text's first line, shortened to most characters.
func firstLine(s string, most int) string {
	line, rest, _ := strings.Cut(strings.TrimSpace(s), "\n")
	r := []rune(line)
	if len(r) > most {
		return string(r[:most-1]) + "…"
	}
	if rest != "" {
		return line + " …"
	}
	return line
}

// indent puts every line of a text behind a prefix.
func indent(s, prefix string) string {
	return prefix + strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", "\n"+prefix)
}

// counted writes a number with its noun.
func counted(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func msec(n int64) time.Duration { return time.Duration(n) * time.Millisecond }
