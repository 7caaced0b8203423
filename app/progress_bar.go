package app

import (
	"fmt"
	"strings"
	"time"

	"github.com/sluiceworks/sluice/modules/audit"
	"github.com/sluiceworks/sluice/platform/terminal"
)

const (
	barWidth  = 30
	barEvery  = 80 * time.Millisecond
	lineEvery = 10 * time.Second // without a terminal
)

// clearLine is the terminal sequence that returns to the start of the line and clears it.
const clearLine = "\r\x1b[K"

// progress replaces the last line of a terminal.
func (c *cli) progress(text string) {
	_ = c.stderr.Redraw(clearLine, text) // an error here has no consequences
}

// bar shows the progress of a long command: a bar on a terminal, and an occasional line elsewhere.
type bar struct {
	out      *terminal.Writer
	now      func() time.Time
	terminal bool
	shown    time.Time
}

func newBar(out *terminal.Writer, now func() time.Time) *bar {
	return &bar{out: out, now: now, terminal: out.IsTerminal(), shown: now()}
}

// verified shows the progress of a verification.
func (b *bar) verified(r audit.Report) {
	b.show(r.Executions, r.Total, "checked "+counted(int64(r.Executions), "execution")+", "+
		counted(int64(r.Events), "event"))
}

// show draws done of total, unless it has just done so. A total of 0 is unknown.
func (b *bar) show(done, total int, text string) {
	every := lineEvery
	if b.terminal {
		every = barEvery
	}
	now := b.now()
	if now.Sub(b.shown) < every {
		return
	}
	b.shown = now
	percent := ""
	if total > 0 {
		part := min(float64(done)/float64(total), 1)
		percent = fmt.Sprintf("%3.0f%% ", 100*part)
		if b.terminal {
			full := int(part * barWidth)
			percent = "[" + strings.Repeat("#", full) + strings.Repeat(".", barWidth-full) + "] " + percent
		}
	}
	if b.terminal {
		_ = b.out.Redraw(clearLine, percent+text) // an error here has no consequences
		return
	}
	fmt.Fprintf(b.out, "%s%s\n", strings.TrimLeft(percent, " "), text)
}

// clear removes the bar.
func (b *bar) clear() {
	if b.terminal {
		_ = b.out.Redraw(clearLine, "")
	}
}
