package inspect

import (
	"fmt"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/dbtype"
	"github.com/sluiceworks/sluice/platform/terminal"
)

// momentLayout has the zone's offset and no spaces, so that every flag for a time accepts it.
const momentLayout = time.RFC3339

// Moment returns a time as text for people, in the zone of this process. It returns "" for the zero time.
func Moment(t dbtype.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format(momentLayout)
}

// Span returns a duration as text for people, in its one or two largest units.
func Span(d time.Duration) string {
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

// spanMS is Span of milliseconds.
func spanMS(n int64) string { return Span(time.Duration(n) * time.Millisecond) }

// Counted returns a number with its noun, which it puts into the plural.
func Counted(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// ErrorLine returns the most informative line of an error's text (tasks.ErrorLine), cut to a width of maxWidth
// characters.
func ErrorLine(s string, maxWidth int) string {
	return text.Snip(terminal.Inline(tasks.ErrorLine(s)), maxWidth, "…")
}
