package app

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/platform/db"
)

// lines shows progress as one line for each thing that happens.
type lines struct {
	out   io.Writer
	names map[db.ID]string
}

// quiet are the events that say nothing that a line before or after does not.
var quiet = map[events.Type]bool{
	events.TaskCreated: true, events.TaskMarkedReady: true, events.TaskClaimed: true, events.PipelineStarted: true,
	events.PipelineCompleted: true, events.PipelineFailed: true,
}

func (l *lines) every() time.Duration { return lookAtMost }

func (l *lines) show(v view) error {
	if l.names == nil {
		l.names = map[db.ID]string{}
		for _, t := range v.tasks {
			l.names[t.ID] = t.TaskName
		}
	}
	for _, e := range v.fresh {
		if quiet[e.EventType] {
			continue
		}
		if err := l.line(v, e); err != nil {
			return err
		}
	}
	return nil
}

func (l *lines) line(v view, e events.Event) error {
	s, err := tell(e)
	if err != nil {
		return err
	}
	name := l.names[e.TaskExecutionID]
	if e.TaskExecutionID.IsZero() {
		name = "pipeline " + v.execution.PipelineName
		if e.Actor != "" {
			s.what += " by " + string(e.Actor)
		}
	}
	first, rest, more := strings.Cut(s.String(), "\n")
	fmt.Fprintf(l.out, "%s %s %s\n", clock(e.CreatedAt), name, first)
	if more && strings.TrimSpace(rest) != "" {
		fmt.Fprintln(l.out, indent(rest, "             | "))
	}
	if e.EventType == events.PipelinePaused {
		fmt.Fprintf(l.out, "%s waiting: `sluice resume %s` lets it go on\n", clock(e.CreatedAt), v.execution.ID)
	}
	return nil
}
