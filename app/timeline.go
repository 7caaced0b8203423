package app

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/sluiceworks/sluice/modules/history"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/dbtype"
	"github.com/sluiceworks/sluice/platform/terminal"
)

// The values of --timeline.
const (
	timelineSummary = "summary"
	timelineAll     = "all"
	timelineNone    = "none"
)

const (
	summaryRows  = 30
	defaultWidth = 100 // without a terminal
)

// timelineDocument shows where the time went. All fields are null if the history is missing or broken.
type timelineDocument struct {
	Timeline     []history.TaskTimeline `json:"timeline"`
	CriticalPath []history.CriticalStep `json:"critical_path"` // from the first task to the last
	Spent        []spentTime            `json:"spent"`

	drawn  *history.Timeline
	broken error
}

// spentTime is how long tasks were of a kind, in milliseconds.
type spentTime struct {
	Kind           history.Kind `json:"kind"`
	CriticalPathMS int64        `json:"critical_path_ms"`
	AllTasksMS     int64        `json:"all_tasks_ms"`
}

func drawUp(past *history.Past, now time.Time) (timelineDocument, error) {
	t, err := past.Timeline(dbtype.NewTime(now))
	if err != nil {
		return timelineDocument{}, err
	}
	d := timelineDocument{Timeline: t.Rows, CriticalPath: t.Critical, Spent: []spentTime{}, drawn: t}
	for _, s := range t.Spent {
		d.Spent = append(d.Spent, spentTime{s.Kind, s.CriticalPath.Milliseconds(), s.AllTasks.Milliseconds()})
	}
	return d, nil
}

func (c *cli) printTimeline(doc showDocument, rows string) {
	switch {
	case doc.broken != nil:
		fmt.Fprintln(c.stdout,
			c.again(fmt.Sprintf("\nno timeline: %v; `sluice verify %s` says more", doc.broken, doc.Execution.ID)))
	case doc.drawn != nil && len(doc.drawn.Rows) > 0:
		l := timelineStyle{width: widthOf(c.stdout), paint: paintFor(c.stdout), unicode: writesUTF8(os.Getenv)}
		fmt.Fprint(c.stdout, "\n"+l.timeline(doc.drawn, rows, doc.Execution.Status.Terminal()))
	}
}

// widthOf returns the maximum width of a line.
func widthOf(w *terminal.Writer) int {
	if width, _, ok := w.Size(); ok && width >= 40 {
		return width
	}
	return defaultWidth
}

// writesUTF8 reports whether the locale can show more than ASCII.
func writesUTF8(env func(string) string) bool {
	locale := strings.ToUpper(cmp.Or(env("LC_ALL"), env("LC_CTYPE"), env("LANG")))
	return strings.Contains(locale, "UTF-8") || strings.Contains(locale, "UTF8")
}

// timeline draws an axis, a bar for each chosen row, the critical path, and the sums.
func (l timelineStyle) timeline(t *history.Timeline, rows string, ended bool) string {
	critical := map[string]time.Duration{}
	for _, link := range t.Critical {
		if link.Duration() > 0 { // a task that is skipped when another ends takes no time
			critical[link.TaskName] = link.Duration()
		}
	}
	chosen := t.Rows
	if rows != timelineAll {
		chosen = selectRows(t.Rows, critical, summaryRows)
	}
	var b strings.Builder
	b.WriteString(l.bars(t, chosen, critical))
	if left := len(t.Rows) - len(chosen); left > 0 {
		fmt.Fprintf(&b, "%s more, which tell less: --timeline all\n", counted(int64(left), "task"))
	}
	b.WriteString(l.path(t.Critical, ended))
	b.WriteString(l.spent(t))
	return b.String()
}

// selectRows returns at most most rows in their order: those on the critical path, then those that failed, then the
// longest.
func selectRows(rows []history.TaskTimeline, critical map[string]time.Duration, most int) []history.TaskTimeline {
	if len(rows) <= most {
		return rows
	}
	rank := func(r history.TaskTimeline) int {
		_, on := critical[r.TaskName]
		switch {
		case on:
			return 0
		case r.Status == tasks.Failed || r.Status == tasks.Abandoned:
			return 1
		}
		return 2
	}
	order := make([]int, len(rows))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		x, y := rows[a], rows[b]
		return cmp.Or(cmp.Compare(rank(x), rank(y)), cmp.Compare(critical[y.TaskName], critical[x.TaskName]),
			cmp.Compare(y.OwnTime(), x.OwnTime()))
	})
	order = order[:most]
	slices.Sort(order)
	chosen := make([]history.TaskTimeline, most)
	for i, at := range order {
		chosen[i] = rows[at]
	}
	return chosen
}

// path writes the critical path on one line, without tasks that took no time on it.
func (l timelineStyle) path(links []history.CriticalStep, ended bool) string {
	var words []string
	for _, link := range links {
		if link.Duration() > 0 {
			words = append(words, link.TaskName+" "+span(link.Duration()))
		}
	}
	if words == nil {
		return ""
	}
	label := "critical path"
	if !ended {
		label += " so far"
	}
	arrow, rest := " → ", "…"
	if !l.unicode {
		arrow, rest = " > ", "..."
	}
	return text.Snip("* "+label+": "+strings.Join(words, arrow), l.width, rest) + "\n"
}

// spent returns the table of sums.
func (l timelineStyle) spent(t *history.Timeline) string {
	whole, all := t.To.Sub(t.From.Time), time.Duration(0)
	for _, s := range t.Spent {
		all += s.AllTasks
	}
	rows := [][]string{}
	for _, s := range t.Spent {
		rows = append(rows, []string{
			words(s.Kind), span(s.CriticalPath), share(s.CriticalPath, whole),
			span(s.AllTasks), share(s.AllTasks, all),
		})
	}
	if len(rows) == 0 {
		return ""
	}
	rows = append(rows, []string{"together", span(whole), "", span(all), ""})
	return "\n" + renderTable([]string{"where the time went", "critical path", "", "all tasks", ""}, rows, 0) + "\n"
}

// words returns the name of a kind for people.
func words(k history.Kind) string {
	if k == history.Ended {
		return "ended, until a retry"
	}
	return strings.ReplaceAll(string(k), "_", " ")
}

func share(part, whole time.Duration) string {
	if whole <= 0 {
		return ""
	}
	return fmt.Sprintf("%d%%", (100*part+whole/2)/whole)
}
