package app

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/sluiceworks/sluice/modules/audit"
)

const (
	barWidth  = 30
	barEvery  = 80 * time.Millisecond
	lineEvery = 10 * time.Second // where there is no terminal
)

// bar shows how far a long command is: a bar on a terminal, a line now and then elsewhere.
type bar struct {
	out      io.Writer
	now      func() time.Time
	terminal bool
	shown    time.Time
}

func newBar(out io.Writer, now func() time.Time) *bar {
	return &bar{out: out, now: now, terminal: isTerminal(out), shown: now()}
}

// verified shows how far a verification is.
func (b *bar) verified(r audit.Report) {
	b.show(r.Pipelines, r.Total, "checked "+counted(int64(r.Pipelines), "execution")+", "+counted(int64(r.Events), "event"))
}

// show draws done of total, unless it has just done so; a total of 0 is unknown.
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
		fmt.Fprintf(b.out, "\r\x1b[K%s%s", percent, text)
		return
	}
	fmt.Fprintf(b.out, "%s%s\n", strings.TrimLeft(percent, " "), text)
}

// clear takes the bar away.
func (b *bar) clear() {
	if b.terminal {
		fmt.Fprint(b.out, "\r\x1b[K")
	}
}
