package app

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/sluiceworks/sluice/modules/events"
	"github.com/sluiceworks/sluice/modules/inspect"
	"github.com/sluiceworks/sluice/platform/dbtype"
	"github.com/sluiceworks/sluice/platform/terminal"
)

// lines shows progress as one line for each event.
type lines struct {
	out   io.Writer
	again func(string) string // adds the shared flags to the commands in a text
	names map[dbtype.ID]string
}

// quiet are the events that add nothing to the lines before or after them.
var quiet = map[events.Type]bool{
	events.TaskCreated: true, events.TaskMarkedReady: true, events.TaskClaimed: true, events.PipelineStarted: true,
	events.PipelineCompleted: true, events.PipelineFailed: true,
}

func (l *lines) every() time.Duration { return refreshAtMost }

func (l *lines) show(v runView) error {
	if l.names == nil {
		l.names = map[dbtype.ID]string{}
		for _, t := range v.tasks {
			l.names[t.ID] = t.TaskName
		}
	}
	left := v.output
	for _, e := range v.fresh {
		if ends[e.EventType] {
			left = l.write(left, e)
		}
		if quiet[e.EventType] {
			continue
		}
		if err := l.line(v, e); err != nil {
			return err
		}
	}
	for _, o := range left {
		fmt.Fprintln(l.out, o.String())
	}
	return nil
}

// ends are the events after which an attempt writes nothing.
var ends = map[events.Type]bool{
	events.TaskCompleted: true, events.TaskFailed: true, events.TaskRetryScheduled: true, events.TaskDeferred: true,
	events.TaskReset: true,
}

// write writes the lines of the attempt that an event ends, and returns the others.
func (l *lines) write(all []outputLine, end events.Event) (others []outputLine) {
	attempt := inspect.EndedAttempt(end)
	for _, o := range all {
		if o.task != end.TaskExecutionID || attempt > 0 && o.attempt > attempt {
			others = append(others, o)
			continue
		}
		fmt.Fprintln(l.out, o.String())
	}
	return others
}

func (l *lines) line(v runView, e events.Event) error {
	s, err := inspect.Describe(e)
	if err != nil {
		return err
	}
	name := l.names[e.TaskExecutionID]
	if e.TaskExecutionID.IsZero() {
		name = "pipeline " + v.execution.PipelineName
		if e.Actor != "" {
			s.What += " by " + string(e.Actor)
		}
	}
	first, rest, more := strings.Cut(s.String(), "\n")
	fmt.Fprintf(l.out, "%s %s %s\n", clock(e.CreatedAt), terminal.Inline(name), terminal.Inline(first))
	if more && strings.TrimSpace(rest) != "" {
		fmt.Fprintln(l.out, indent(rest, "             | "))
	}
	if e.EventType == events.PipelinePaused {
		fmt.Fprintln(l.out, l.again(fmt.Sprintf("%s waiting: `sluice resume %s` lets it go on", clock(e.CreatedAt),
			v.execution.ID)))
	}
	return nil
}
