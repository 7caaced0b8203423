package app

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/sluiceworks/sluice/modules/history"
	"github.com/sluiceworks/sluice/modules/tasks"
	"github.com/sluiceworks/sluice/platform/terminal"
)

// timelineStyle is how pictures are drawn on one stream.
type timelineStyle struct {
	width   int
	paint   paint
	unicode bool
}

// glyph is how a cell of a bar shows a kind.
type glyph struct {
	ascii, unicode rune
	colour         string
}

var glyphs = map[history.Kind]glyph{
	history.Waiting:    {'.', '·', "2"},
	history.Queued:     {':', '░', "33"},
	history.Running:    {'#', '█', "32"},
	history.BackingOff: {'~', '≈', "35"},
	history.Deferred:   {'-', '┄', "34"},
	history.Paused:     {'=', '‖', "36"},
	history.Ended:      {' ', ' ', ""},
}

// failure is the kind of the last cell of an attempt that failed.
const failure history.Kind = "attempt that failed"

func (l timelineStyle) glyph(k history.Kind) (r rune, colour string) {
	g, ok := glyphs[k]
	if !ok {
		g = glyph{'x', '×', "31"}
	}
	if l.unicode {
		return g.unicode, g.colour
	}
	return g.ascii, g.colour
}

const (
	widestName = 28
	timeWidth  = 8 // of a duration, with a space before it
	minCells   = 10
)

// bars draws the axis and the rows below it. An asterisk marks rows of the critical path.
func (l timelineStyle) bars(
	t *history.Timeline, rows []history.TaskTimeline, critical map[string]time.Duration,
) string {
	name := len("timeline")
	for _, r := range rows {
		name = max(name, min(text.StringWidthWithoutEscSequences(terminal.Inline(r.TaskName)), widestName))
	}
	cells := max(l.width-name-timeWidth-3, minCells)
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s\n", text.Pad("timeline", name, ' '), axis(t.To.Sub(t.From.Time), cells, timeWidth))
	seen := map[history.Kind]bool{}
	for _, r := range rows {
		mark := " "
		if _, on := critical[r.TaskName]; on {
			mark = "*"
		}
		bar := barOf(t, r, cells)
		for _, k := range bar {
			seen[k] = true
		}
		line := fmt.Sprintf("%s %s %s", text.Pad(text.Snip(terminal.Inline(r.TaskName), name, "~"), name, ' '), mark,
			l.draw(bar))
		fmt.Fprintf(&b, "%s %*s\n", line, timeWidth-1, span(r.OwnTime()))
	}
	b.WriteString(l.legend(seen) + "\n")
	return b.String()
}

// legend explains the glyphs that occur.
func (l timelineStyle) legend(seen map[history.Kind]bool) string {
	var legend []string
	for _, k := range append(history.Kinds(), failure) {
		if seen[k] && k != history.Ended {
			legend = append(legend, l.draw([]history.Kind{k})+" "+words(k))
		}
	}
	return l.wrapped(append(legend, "* critical path"))
}

// wrapped joins words into lines that fit the width.
func (l timelineStyle) wrapped(words []string) string {
	var b strings.Builder
	left := l.width
	for i, word := range words {
		wide := text.StringWidthWithoutEscSequences(word)
		switch {
		case i == 0:
		case wide+2 > left:
			b.WriteString("\n")
			left = l.width
		default:
			b.WriteString("  ")
			left -= 2
		}
		b.WriteString(word)
		left -= wide
	}
	return b.String()
}

// draw returns the cells as glyphs. Equal neighbours are coloured together.
func (l timelineStyle) draw(bar []history.Kind) string {
	var b strings.Builder
	for i := 0; i < len(bar); {
		n := i
		for n < len(bar) && bar[n] == bar[i] {
			n++
		}
		r, colour := ' ', ""
		if bar[i] != "" {
			r, colour = l.glyph(bar[i])
		}
		part := strings.Repeat(string(r), n-i)
		if l.paint && colour != "" {
			part = terminal.Paint(colour, part)
		}
		b.WriteString(part)
		i = n
	}
	return b.String()
}

// barOf returns what each cell of a row shows: the kind that filled most of its time. Each attempt has at least one
// cell.
func barOf(t *history.Timeline, r history.TaskTimeline, cells int) []history.Kind {
	whole := max(t.To.Sub(t.From.Time), time.Microsecond)
	// The computation uses floating point, because a product of nanoseconds would overflow within months.
	cellOf := func(at time.Time) int {
		return min(max(int(float64(at.Sub(t.From.Time))/float64(whole)*float64(cells)), 0), cells-1)
	}
	edge := func(cell int) time.Duration { return time.Duration(float64(whole) / float64(cells) * float64(cell)) }
	bar, most := make([]history.Kind, cells), make([]time.Duration, cells)
	filled := map[history.Kind]time.Duration{} // of the current cell
	at := -1
	for _, s := range r.Segments {
		from, to := s.From.Sub(t.From.Time), s.To.Sub(t.From.Time)
		for cell := cellOf(s.From.Time); cell <= cellOf(s.To.Time); cell++ {
			if cell != at {
				clear(filled)
				at = cell
			}
			filled[s.Kind] += min(to, edge(cell+1)) - max(from, edge(cell))
			if filled[s.Kind] > most[cell] {
				bar[cell], most[cell] = s.Kind, filled[s.Kind]
			}
		}
	}
	for _, s := range r.Segments {
		first, last := cellOf(s.From.Time), cellOf(s.To.Time.Add(-1))
		last = max(first, last)
		if s.Kind != history.Running {
			continue
		}
		if !slices.Contains(bar[first:last+1], history.Running) {
			bar[first] = history.Running
		}
		if bad(s) {
			bar[last] = failure
		}
	}
	return bar
}

// bad reports whether an attempt failed, was abandoned or was lost.
func bad(s history.Segment) bool {
	switch string(s.Result) {
	case string(tasks.Failed), string(tasks.Abandoned), history.ResultWorkerLost:
		return true
	}
	return false
}

// steps are the possible distances of ticks. Longer distances are doubled days.
var steps = []time.Duration{
	time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond,
	50 * time.Millisecond,
	100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second,
	5 * time.Second, 10 * time.Second,
	15 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute,
	15 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour,
}

// axis writes round times above the cells, and the total after them.
func axis(whole time.Duration, cells, free int) string {
	const apart = 12 // minimum number of cells between ticks
	line := []byte(strings.Repeat(" ", cells))
	copy(line, "|0")
	step := steps[len(steps)-1]
	wide := func(d time.Duration) bool { return float64(d)/float64(max(whole, 1))*float64(cells) >= apart }
	if i := slices.IndexFunc(steps, wide); i >= 0 {
		step = steps[i]
	} else {
		for !wide(step) {
			step *= 2
		}
	}
	for at := step; at < whole; at += step {
		cell := int(float64(at) / float64(whole) * float64(cells))
		label := "|" + strings.Replace(span(at), ".0s", "s", 1)
		if cell+len(label) <= cells {
			copy(line[cell:], label)
		}
	}
	return fmt.Sprintf(" %s %*s", line, free-1, span(whole))
}
